import { assertEquals } from "@std/assert";
import { CalendarTime } from "../../../src/platform/calendar.ts";
import { Random, seed } from "../../support/random.ts";

/** All fields, as JavaScript's own calendar has them. */
function expected(seconds: number): number[] {
  const date = new Date(seconds * 1000);
  return [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCDay() + 1,
    date.getUTCHours(),
    date.getUTCMinutes(),
    date.getUTCSeconds(),
  ];
}

function fields(time: CalendarTime): number[] {
  return [time.year, time.month, time.day, time.weekday, time.hour, time.minute, time.second];
}

Deno.test("calendar agrees with Date on leap days, century ends and random seconds", () => {
  const random = new Random(seed(7));
  const chosen = [
    "1970-01-01",
    "1999-12-31",
    "2000-02-29",
    "2000-03-01",
    "2024-02-29",
    "2099-12-31",
  ]
    .concat(["2100-02-28", "2100-03-01", "1900-02-28", "1900-03-01", "2400-02-29", "1969-12-31"])
    .map((day) => Date.parse(`${day}T23:59:59Z`) / 1000);
  // From 1800 to 2500.
  for (let i = 0; i < 20_000; i++) chosen.push(-5_364_662_400 + random.below(22_089_888_000));
  const time = new CalendarTime();
  for (const seconds of chosen) {
    time.setSeconds(seconds);
    assertEquals(fields(time), expected(seconds), `seed ${random.seed} seconds ${seconds}`);
    assertEquals(time.toSeconds(), seconds);
  }
});

Deno.test("calendar carries fields beyond their range over", () => {
  const time = new CalendarTime();
  time.setSeconds(0);
  Object.assign(time, { year: 2023, month: 14, day: 30, hour: 25, minute: 61, second: 75 });
  assertEquals(time.toSeconds(), Date.UTC(2023, 13, 30, 25, 61, 75) / 1000);
  Object.assign(time, { year: 2023, month: 165, day: 0, hour: 0, minute: 0, second: 0 });
  assertEquals(time.toSeconds(), Date.UTC(2023, 164, 0) / 1000);
});
