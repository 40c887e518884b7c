/**
 * The interrupt controllers of src/platform/irqchip/ against those in the kernel: the same random
 * accesses to registers and lines, by a guest on KVM and by the test on ours. Interrupts stay
 * pending: a KVM that emulates the guest's instructions gives them at times of its own.
 *
 * Left out is where KVM differs from the manuals: the arbitration priority, the error status
 * register, illegal vectors, delivery status in LVT entries, a request that a slave 8259A withdraws,
 * and an input with a request that becomes level-triggered.
 */

import { assertEquals } from "@std/assert";
import { gpa } from "../../src/base/u64.ts";
import {
  CODE,
  engineFor,
  flat32,
  kvmEngine,
  le,
  memoryWith,
  nextExit,
  STACK,
} from "../support/kvm_guest.ts";
import { Random, seed } from "../support/random.ts";
import { testWith } from "../support/requirement.ts";
import {
  EOI,
  ICR,
  IOAPIC,
  LAPIC,
  LDR,
  LVT_LINT0,
  Rig,
  SVR,
  TPR,
} from "../unit/platform/irqchip/rig.ts";

const LOG_POINTER = 0x2_e000, LOG = 0x2_0000, NOTE = 0x4_2100;

type Op =
  | { readonly kind: "in" | "out" | "read" | "write"; readonly at: number; readonly value: number }
  | { readonly kind: "line"; readonly at: number; readonly value: number };

/** The master's input 2: KVM has it as an edge, so that it does not tell what the slave asks. */
const CASCADE = 4;
const GSIS = [1, 3, 4, 5, 9, 10, 11, 14, 16, 20];
/** ISR, TMR and IRR, and what else reads the same. */
const READABLE = [0x20, 0x80, 0xa0, 0xd0, 0xe0, 0xf0, 0x300, 0x310, 0x330, 0x340, 0x350, 0x360];

/** Firmware's work: 8259As at 0x50 and 0x58, some inputs level-triggered, the local APIC on. */
function start(random: Random): Op[] {
  const ops: Op[] = [{ kind: "write", at: LAPIC + SVR, value: 0x1ff }];
  for (const [port, base, wire] of [[0x20, 0x50, 4], [0xa0, 0x58, 2]]) {
    const words = [[port, 0x11], [port + 1, base], [port + 1, wire], [port + 1, 1]];
    for (const [at, value] of words) ops.push({ kind: "out", at, value });
  }
  ops.push({ kind: "out", at: 0x4d0, value: random.below(256) });
  return ops;
}

function randomOps(random: Random): Op[] {
  const entry = 0x10 + 2 * random.pick(GSIS);
  const select = (index: number): Op => ({ kind: "write", at: IOAPIC, value: index });
  const lapic = (offset: number, value: number): Op[] => [
    { kind: "write", at: LAPIC + offset, value },
  ];
  switch (random.below(14)) {
    case 0:
    case 1:
    case 2:
      return [{ kind: "line", at: random.pick(GSIS), value: random.below(2) }];
    case 3: {
      const low = 0x60 + random.below(0x80) | random.pick([0, 0x8000]) |
        random.pick([0, 0, 0x1_0000]);
      const window = IOAPIC + 0x10;
      return [select(entry), { kind: "write", at: window, value: low }];
    }
    case 4:
      return [select(entry), { kind: "read", at: IOAPIC + 0x10, value: 0 }];
    case 5:
      return lapic(TPR, random.below(0x90));
    case 6:
    case 7:
      return lapic(EOI, 0);
    case 8:
      return lapic(ICR, 0x4_4000 | 0x20 + random.below(0xd0));
    case 9:
      return random.oneIn(3)
        ? lapic(LVT_LINT0, random.pick([0x700, 0x1_0700]))
        : [{ kind: "read", at: LAPIC + random.pick(READABLE), value: 0 }];
    case 10:
      return [{ kind: "read", at: LAPIC + 0x100 + (random.below(24) << 4), value: 0 }];
    case 11: {
      const port = random.pick([0x20, 0xa0]);
      const level = random.below(8);
      const ocw2 = random.pick([0x20, 0x20, 0x60 | level, 0xa0, 0xe0 | level, 0xc0 | level]);
      return [{ kind: "out", at: port, value: ocw2 }];
    }
    case 12: {
      const port = random.pick([0x20, 0xa0]);
      const ocw3 = random.pick([0x0a, 0x0b, 0x48, 0x68]);
      const words: Op[] = [
        { kind: "out", at: port, value: ocw3 },
        { kind: "in", at: port, value: 0 },
      ];
      if (random.oneIn(3)) words.push({ kind: "out", at: 0x21, value: random.u32() & 0xfb });
      return words;
    }
    default:
      return lapic(LDR, random.u32());
  }
}

/** What the ops read on our chips. */
function onOurs(ops: readonly Op[]): number[] {
  const rig = new Rig();
  const log: number[] = [];
  for (const op of ops) {
    if (op.kind === "in") log.push(rig.in(op.at) & ~CASCADE);
    else if (op.kind === "out") rig.out(op.at, op.value);
    else if (op.kind === "read") log.push(rig.read(op.at));
    else if (op.kind === "write") rig.write(op.at, op.value);
    else rig.chips.setGsi(op.at, op.value === 1);
  }
  return log;
}

/** The same on KVM's. */
function onKvm(ops: readonly Op[]): number[] {
  const code = [0xbc, ...le(STACK, 4)]; // mov esp, STACK
  const note = () => code.push(0xe8, ...le(NOTE - (CODE + code.length + 5), 4));
  for (const op of ops) {
    switch (op.kind) {
      case "in": // mov edx, port; xor eax, eax; in al, dx; and al, ~CASCADE
        code.push(0xba, ...le(op.at, 4), 0x31, 0xc0, 0xec, 0x24, 0xff - CASCADE);
        note();
        break;
      case "out": // mov edx, port; mov al, value; out dx, al
        code.push(0xba, ...le(op.at, 4), 0xb0, op.value, 0xee);
        break;
      case "read": // mov eax, [at]
        code.push(0xa1, ...le(op.at, 4));
        note();
        break;
      case "write": // mov dword [at], value
        code.push(0xc7, 0x05, ...le(op.at, 4), ...le(op.value, 4));
        break;
      case "line": // out 0x10, al
        code.push(0xe6, 0x10);
        break;
    }
  }
  code.push(0xe6, 0x11);
  const memory = memoryWith(code);
  memory.writeU32(gpa(LOG_POINTER), LOG);
  // mov edi, [pointer]; mov [edi], eax; add dword [pointer], 4; ret
  const pointer = le(LOG_POINTER, 4);
  const noting = [0x8b, 0x3d, ...pointer, 0x89, 0x07, 0x83, 0x05, ...pointer, 4, 0xc3];
  memory.write(gpa(NOTE), new Uint8Array(noting));
  using engine = engineFor(memory, flat32(memory));
  for (const op of ops) {
    if (op.kind !== "line") continue;
    assertEquals(nextExit(engine).slice(0, 13), "PORT_OUT 0x10");
    engine.setIrqLine(op.at, op.value === 1);
  }
  assertEquals(nextExit(engine).slice(0, 13), "PORT_OUT 0x11");
  const log: number[] = [];
  const end = Number(memory.readU32(gpa(LOG_POINTER)));
  for (let at = LOG; at < end; at += 4) log.push(memory.readU32(gpa(at)));
  return log;
}

testWith(
  kvmEngine,
  "interrupt controllers read as KVM's do after the same accesses and lines",
  () => {
    const random = new Random(seed(0x82093));
    for (let round = 0; round < 25; round++) {
      const ops = start(random);
      while (ops.length < 150) ops.push(...randomOps(random));
      assertEquals(onOurs(ops), onKvm(ops), `seed ${random.seed}, round ${round}`);
    }
  },
);
