/** A counter that is worked out against one that ticks. */

import { assert, assertEquals } from "@std/assert";
import { PitChannel } from "../../../../src/platform/irqchip/pit_channel.ts";
import { Random, seed } from "../../../support/random.ts";
import { NaiveCounter } from "./naive_8254.ts";

/** The count by way of the latch. */
function latched(channel: PitChannel, now: number): number {
  channel.latchCount(now);
  return channel.read(now) | channel.read(now) << 8;
}

function isNull(channel: PitChannel, now: number): boolean {
  channel.latchStatus(now);
  return (channel.read(now) & 0x40) !== 0;
}

for (let mode = 0; mode < 6; mode++) {
  Deno.test(`8254 mode ${mode} gives what a counter that ticks does, pulse by pulse and in leaps`, () => {
    const random = new Random(seed(8254 + mode));
    const where = `mode ${mode}, seed ${random.seed}`;
    for (let round = 0; round < 60; round++) {
      const bcd = random.oneIn(4);
      const model = new NaiveCounter();
      const stepped = new PitChannel(true);
      /** Is only asked when something is done to it. */
      const leaping = new PitChannel(true);
      const both = [stepped, leaping];
      const control = 0x30 | mode << 1 | (bcd ? 1 : 0);
      for (const channel of both) channel.writeControl(0, control);
      model.control(mode, bcd);
      for (const channel of both) channel.takeRise(0);
      let rosePending = false;
      let gate = true;
      for (let now = 0; now < 400; now++) {
        const wasHigh = model.out;
        if (now === 0 || random.oneIn(60)) {
          const count = random.oneIn(10) ? 0 : 2 + random.below(40);
          const bytes = bcd ? parseInt(String(count), 16) : count;
          for (const byte of [bytes & 0xff, bytes >>> 8]) {
            for (const channel of both) channel.write(now, byte);
            model.write(byte);
          }
        }
        if (random.oneIn(25)) {
          gate = !gate;
          for (const channel of both) channel.setGate(now, gate);
          model.gate(gate);
        }
        const roseByHand = !wasHigh && model.out;
        const expected = stepped.nextRise(now);
        assert(expected > now, `${where}: the next rise is yet to come`);
        const before = model.out;
        model.pulse();
        const roseByPulse = !before && model.out;
        if (roseByPulse) assertEquals(expected, now + 1, `${where}, round ${round}, pulse ${now}`);
        rosePending ||= roseByHand || roseByPulse;
        const at = `${where}, round ${round}, after pulse ${now + 1}`;
        assertEquals(stepped.output(now + 1), model.out, at);
        assertEquals(stepped.takeRise(now + 1), roseByHand || roseByPulse, at);
        if (model.defined) {
          assertEquals(latched(stepped, now + 1), model.count, at);
          assertEquals(isNull(stepped, now + 1), model.nullCount, at);
        }
        if (!random.oneIn(40)) continue;
        assertEquals(leaping.takeRise(now + 1), rosePending, at);
        rosePending = false;
        assertEquals(leaping.output(now + 1), model.out, at);
        if (model.defined) assertEquals(latched(leaping, now + 1), model.count, at);
      }
    }
  });
}

Deno.test("8254 counts of 1, decimal digits that are none and modes 6 and 7 give results", () => {
  for (let word = 0; word < 64; word++) {
    const channel = new PitChannel(true);
    channel.writeControl(0, word);
    for (const byte of [1, 0, 0xff, 0xff]) channel.write(0, byte);
    for (const now of [0, 1, 2, 1e6, 1e15]) {
      const byte = channel.read(now);
      assert(byte >= 0 && byte <= 255 && Number.isInteger(byte));
      assert(channel.nextRise(now) > now);
    }
  }
});

Deno.test("8254 modes 6 and 7 are modes 2 and 3", () => {
  for (const [alias, mode] of [[6, 2], [7, 3]]) {
    const [a, b] = [alias, mode].map((m) => {
      const channel = new PitChannel(true);
      channel.writeControl(0, 0x10 | m << 1);
      channel.write(0, 10);
      return Array.from({ length: 30 }, (_, i) => channel.output(i));
    });
    assertEquals(a, b);
    assert(a.includes(false));
  }
});
