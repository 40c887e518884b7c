/** The pair of 8259As against Intel's data sheet (231468), through ports and the LINT0 wire. */

import { assertEquals } from "@std/assert";
import { Rig } from "./rig.ts";

const MASTER = 0x20, MASTER_DATA = 0x21, SLAVE = 0xa0, SLAVE_DATA = 0xa1;
const EOI = 0x20;

Deno.test("8259A initialisation clears masks, sets both vectors and asks for ICW4 only when IC4 says so", () => {
  const rig = new Rig();
  rig.out(MASTER_DATA, 0xff);
  assertEquals(rig.in(MASTER_DATA), 0xff);
  rig.startPic();
  assertEquals([rig.in(MASTER_DATA), rig.in(SLAVE_DATA)], [0, 0]);
  rig.pulse(3);
  assertEquals(rig.take(), 0x33);
  rig.pulse(0);
  assertEquals(rig.take(), 0x30);

  const short = new Rig();
  short.out(MASTER, 0x12); // single, no ICW4: ICW2 is the only word that follows
  short.out(MASTER_DATA, 0x4f); // bits 2:0 are the level's
  short.out(MASTER_DATA, 0xf7); // already OCW1
  assertEquals(short.in(MASTER_DATA), 0xf7);
  short.pulse(3);
  assertEquals(short.take(), 0x4b);
});

Deno.test("8259A gives lower inputs first and holds up those below what is in service", () => {
  const rig = new Rig().startPic();
  for (const gsi of [7, 4, 6]) rig.pulse(gsi);
  assertEquals(rig.in(MASTER), 0xd0); // IRR
  assertEquals(rig.take(), 0x34);
  assertEquals(rig.apic().hasInterrupt(), false, "6 and 7 wait for 4");
  rig.pulse(1);
  assertEquals(rig.take(), 0x31, "1 interrupts 4");
  rig.out(MASTER, 0x0b); // read the in-service register
  assertEquals(rig.in(MASTER), 0x12);
  rig.out(MASTER, EOI);
  assertEquals(rig.in(MASTER), 0x10, "non-specific: the highest in service, 1");
  assertEquals(rig.take(), -1);
  rig.out(MASTER, EOI);
  assertEquals(rig.take(), 0x36);
  rig.out(MASTER, 0x60 | 6); // specific
  assertEquals(rig.in(MASTER), 0);
  assertEquals(rig.take(), 0x37);
});

Deno.test("8259A slave interrupts come through input 2 of the master, between 1 and 3", () => {
  const rig = new Rig().startPic();
  for (const gsi of [3, 12, 8]) rig.pulse(gsi);
  assertEquals(rig.take(), 0x38);
  rig.out(MASTER, 0x0b);
  rig.out(SLAVE, 0x0b);
  assertEquals([rig.in(MASTER), rig.in(SLAVE)], [0x04, 0x01]);
  rig.out(SLAVE, EOI);
  assertEquals(rig.apic().hasInterrupt(), false, "the master still holds its slave up");
  rig.out(MASTER, EOI);
  assertEquals(rig.take(), 0x3c);
  assertEquals(rig.take(), -1, "3 is below the slave");
  rig.out(SLAVE, EOI);
  rig.out(MASTER, EOI);
  assertEquals(rig.take(), 0x33);
});

Deno.test("8259A in special fully nested mode lets a higher slave input through", () => {
  const rig = new Rig().startPic();
  const nested = new Rig().startPic(0x11);
  for (const [each, vector] of [[rig, -1], [nested, 0x38]] as const) {
    each.pulse(12);
    assertEquals(each.take(), 0x3c);
    each.pulse(8);
    assertEquals(each.take(), vector);
  }
});

Deno.test("8259A masks hold an edge back and give it when they are lifted", () => {
  const rig = new Rig().startPic();
  rig.out(MASTER_DATA, 0x10);
  rig.pulse(4);
  assertEquals(rig.apic().hasInterrupt(), false);
  assertEquals(rig.in(MASTER), 0x10);
  rig.signals.take();
  rig.out(MASTER_DATA, 0);
  assertEquals(rig.signals.take(), ["interrupt 0"]);
  assertEquals(rig.take(), 0x34);
});

Deno.test("8259A takes an edge once and a level until it goes", () => {
  const rig = new Rig().startPic();
  rig.out(0x4d0, 0xff);
  rig.out(0x4d1, 0xff);
  assertEquals([rig.in(0x4d0), rig.in(0x4d1)], [0xf8, 0xde], "0, 1, 2, 8 and 13 are always edges");
  rig.out(0x4d0, 0x20);
  for (const [gsi, again] of [[5, 0x35], [4, -1]]) {
    rig.chips.setGsi(gsi, true);
    assertEquals(rig.take(), 0x30 + gsi);
    rig.out(MASTER, EOI);
    assertEquals(rig.take(), again, `input ${gsi} is still high`);
    rig.chips.setGsi(gsi, false);
    rig.out(MASTER, EOI);
    assertEquals(rig.take(), -1);
  }
  rig.pulse(5);
  assertEquals(rig.take(), -1, "a level that is gone asks for nothing");
});

Deno.test("8259A input that becomes level-triggered asks for what its line says", () => {
  const rig = new Rig().startPic();
  rig.pulse(5);
  rig.chips.setGsi(6, true);
  rig.take();
  rig.take();
  rig.pulse(5);
  rig.out(0x4d0, 0x60);
  assertEquals(rig.in(MASTER), 0x40);
});

Deno.test("8259A initialisation forgets edges, and a line must rise again", () => {
  const rig = new Rig().startPic();
  rig.chips.setGsi(4, true);
  rig.startPic();
  assertEquals(rig.take(), -1);
  rig.chips.setGsi(4, false);
  rig.chips.setGsi(4, true);
  assertEquals(rig.take(), 0x34);
});

Deno.test("8259A in automatic end-of-interrupt mode has nothing in service", () => {
  const rig = new Rig().startPic(3);
  rig.pulse(1);
  rig.pulse(4);
  assertEquals([rig.take(), rig.take()], [0x31, 0x34]);
  rig.out(MASTER, 0x0b);
  assertEquals(rig.in(MASTER), 0);
  rig.pulse(9);
  assertEquals(rig.take(), 0x39);
  assertEquals(rig.take(), -1);
});

Deno.test("8259A rotates: on an end of interrupt, specifically, automatically and by command", () => {
  const rig = new Rig().startPic();
  rig.pulse(4);
  rig.take();
  rig.out(MASTER, 0xa0); // rotate on non-specific EOI: 4 is the lowest now
  rig.pulse(4);
  rig.pulse(6);
  assertEquals(rig.take(), 0x36);
  rig.out(MASTER, 0xe0 | 6); // rotate on specific EOI
  rig.pulse(6);
  rig.pulse(0);
  assertEquals(rig.take(), 0x30, "7, 0, 1 ... 4 come before 6");
  rig.out(MASTER, EOI);
  assertEquals(rig.take(), 0x34);
  rig.out(MASTER, EOI);
  rig.out(MASTER, 0xc0 | 2); // set priority: 2 is the lowest
  rig.pulse(1);
  assertEquals(rig.take(), 0x36, "3 to 7 come before 0, 1 and 2");

  const auto = new Rig().startPic(3);
  auto.out(MASTER, 0x80); // rotate in automatic EOI mode
  auto.pulse(3);
  assertEquals(auto.take(), 0x33);
  auto.pulse(3);
  auto.pulse(5);
  assertEquals([auto.take(), auto.take()], [0x35, 0x33]);
  auto.out(MASTER, 0x00); // and no longer: 3 stays the lowest
  auto.pulse(0);
  auto.pulse(5);
  assertEquals([auto.take(), auto.take()], [0x35, 0x30]);
});

Deno.test("8259A in special mask mode lets a masked level in service hold nothing up", () => {
  const rig = new Rig().startPic();
  rig.pulse(3);
  rig.take();
  rig.pulse(5);
  rig.pulse(3);
  rig.out(MASTER_DATA, 0x08);
  assertEquals(rig.take(), -1);
  rig.out(MASTER, 0x68); // set special mask
  assertEquals(rig.take(), 0x35);
  rig.out(MASTER, EOI);
  rig.out(MASTER, 0x0b);
  assertEquals(rig.in(MASTER), 0x08, "a non-specific EOI spares what is masked");
  rig.out(MASTER, EOI);
  assertEquals(rig.in(MASTER), 0x08);
  rig.out(MASTER, 0x48); // reset special mask
  rig.out(MASTER, EOI);
  assertEquals(rig.in(MASTER), 0);
});

Deno.test("8259A answers the poll command in place of the CPU, once", () => {
  const rig = new Rig().startPic();
  rig.out(MASTER, 0x0c);
  assertEquals(rig.in(MASTER), 0, "no request");
  rig.pulse(5);
  rig.out(MASTER, 0x0c);
  assertEquals(rig.in(MASTER), 0x85);
  assertEquals(rig.in(MASTER), 0, "the request register, which is empty now");
  assertEquals(rig.take(), -1);
  rig.out(MASTER, 0x0b);
  assertEquals(rig.in(MASTER), 0x20);
  rig.pulse(10);
  rig.out(SLAVE, 0x0c);
  assertEquals(rig.ports.read(SLAVE_DATA, 1), 0x82, "at either address");
});

Deno.test("8259A withdraws a slave's request that is masked before the CPU takes it", () => {
  const rig = new Rig().startPic();
  rig.pulse(10);
  assertEquals(rig.apic().hasInterrupt(), true);
  rig.out(SLAVE_DATA, 0x04);
  assertEquals(rig.apic().hasInterrupt(), false);
  assertEquals(rig.take(), -1);
});

Deno.test("8259A ports take a word as two bytes", () => {
  const rig = new Rig().startPic();
  rig.ports.write(MASTER, 2, 0xfb0b);
  assertEquals(rig.in(MASTER_DATA), 0xfb);
  assertEquals(rig.ports.read(MASTER, 2), 0xfb00);
});

Deno.test("GSI 2 is the cascade and no device's", () => {
  const rig = new Rig().startPic();
  rig.pulse(2);
  assertEquals(rig.take(), -1);
  assertEquals(rig.in(MASTER), 0);
});
