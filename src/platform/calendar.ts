/** Dates of the Gregorian calendar from days and back, without allocating. */

/** Days from 1 March 0000 to 1 January 1970. Years are counted from March, so leap days come last. */
const EPOCH_DAYS = 719_468;
/** Days in 400 years, after which the calendar repeats. */
const ERA_DAYS = 146_097;

/** A date and time of day; `setSeconds` fills it. */
export class CalendarTime {
  year = 1970;
  /** 1 to 12. */
  month = 1;
  /** 1 to 31. */
  day = 1;
  /** 1 (Sunday) to 7. */
  weekday = 5;
  hour = 0;
  minute = 0;
  second = 0;

  /** Sets every field from whole seconds since 1970-01-01 00:00:00. */
  setSeconds(seconds: number): void {
    const days = Math.floor(seconds / 86_400);
    const secondOfDay = seconds - days * 86_400;
    this.hour = Math.floor(secondOfDay / 3600);
    this.minute = Math.floor(secondOfDay / 60) % 60;
    this.second = secondOfDay % 60;
    // 1970-01-01 was a Thursday.
    this.weekday = 1 + (((days + 4) % 7) + 7) % 7;

    const shifted = days + EPOCH_DAYS;
    const era = Math.floor(shifted / ERA_DAYS);
    const dayOfEra = shifted - era * ERA_DAYS;
    const yearOfEra = Math.floor(
      (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) -
        Math.floor(dayOfEra / 146_096)) / 365,
    );
    const dayOfYear = dayOfEra - daysBefore(yearOfEra);
    // Months from March on have 31, 30, 31, 30, 31 days in turn: 153 in five months.
    const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
    this.day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
    this.month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
    this.year = era * 400 + yearOfEra + (this.month <= 2 ? 1 : 0);
  }

  /** Whole seconds since 1970-01-01 00:00:00. Fields beyond their range carry over. */
  toSeconds(): number {
    const months = this.month - 1;
    const year = this.year + Math.floor(months / 12);
    const month = months - Math.floor(months / 12) * 12;
    const marchYear = month < 2 ? year - 1 : year;
    const monthFromMarch = (month + 10) % 12;
    const era = Math.floor(marchYear / 400);
    const yearOfEra = marchYear - era * 400;
    const days = era * ERA_DAYS + daysBefore(yearOfEra) +
      Math.floor((153 * monthFromMarch + 2) / 5) + this.day - 1 - EPOCH_DAYS;
    return days * 86_400 + this.hour * 3600 + this.minute * 60 + this.second;
  }
}

/** Days in the first `years` years of an era. */
function daysBefore(years: number): number {
  return years * 365 + Math.floor(years / 4) - Math.floor(years / 100);
}
