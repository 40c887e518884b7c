/**
 * Which pins of KVM's interrupt controllers a global system interrupt drives. KVM's own table has
 * the timer on pin 0 of the I/O APIC; on a PC it is on pin 2, as the MADT's source override says
 * (ACPI 6.4 §5.2.12.5).
 */

import { offsetOf } from "../../base/struct.ts";
import { Ioctl } from "./ioctls.ts";
import {
  KVM_IRQ_ROUTING_IRQCHIP,
  KvmIrqchip,
  KvmIrqRouting,
  KvmIrqRoutingEntry,
} from "./kvm_abi.ts";
import type { Scratch } from "./scratch.ts";

/** Interrupts of the two 8259As, and the slave's first one. */
const PIC_LINES = 16;
const SLAVE_LINES = 8;
/** Pins of KVM's I/O APIC. */
const IOAPIC_PINS = 24;
/** The timer's interrupt; the master's input of the slave, where no device can be; the I/O APIC's pin. */
const TIMER_GSI = 0;
const CASCADE_GSI = 2;
const TIMER_PIN = 2;

type Route = readonly [gsi: number, irqchip: number, pin: number];

/** Replaces KVM's routing table. @throws DenovisorError `kvm` */
export function setIrqRouting(scratch: Scratch, vmFd: number): void {
  const routes = pcRoutes();
  const first = offsetOf(KvmIrqRouting, "entries");
  const length = first + routes.length * KvmIrqRoutingEntry.size;
  scratch.clear(length);
  scratch.view.setUint32(offsetOf(KvmIrqRouting, "nr"), routes.length, true);
  routes.forEach(([gsi, irqchip, pin], index) => {
    const at = first + index * KvmIrqRoutingEntry.size;
    const set = (field: string, value: number) =>
      scratch.view.setUint32(at + offsetOf(KvmIrqRoutingEntry, field), value, true);
    set("gsi", gsi);
    set("type", KVM_IRQ_ROUTING_IRQCHIP);
    set("u.irqchip.irqchip", irqchip);
    set("u.irqchip.pin", pin);
  });
  scratch.ioctl(vmFd, Ioctl.SET_GSI_ROUTING, length, "route KVM's interrupts");
}

function pcRoutes(): Route[] {
  const routes: Route[] = [];
  for (let gsi = 0; gsi < IOAPIC_PINS; gsi++) {
    if (gsi === CASCADE_GSI) continue;
    if (gsi < SLAVE_LINES) routes.push([gsi, KvmIrqchip.PIC_MASTER, gsi]);
    else if (gsi < PIC_LINES) routes.push([gsi, KvmIrqchip.PIC_SLAVE, gsi - SLAVE_LINES]);
    routes.push([gsi, KvmIrqchip.IOAPIC, gsi === TIMER_GSI ? TIMER_PIN : gsi]);
  }
  return routes;
}
