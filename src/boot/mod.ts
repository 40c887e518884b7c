/** The boot path: images into guest RAM, and the state in which the first vCPU starts. */

export type {
  AddressRange,
  BootModule,
  BootPlatform,
  BootSource,
  Entry,
  NamedBytes,
} from "./boot.ts";
export { cpio, type CpioEntry } from "./cpio.ts";
export { firmwareBytes, loadFirmware } from "./firmware.ts";
export { firmwareKernel } from "./linux/firmware_kernel.ts";
export { loadGuest } from "./load_guest.ts";
export { type MapEntry, MapType, memoryMap, ramMap } from "./memory_map.ts";
export { unpackKernel } from "./unpack/unpack.ts";
