// How numbers, money, durations and instants are written. What is null is not known.

const UNKNOWN = "not known";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { maximumSignificantDigits: 3, notation: "compact" });
const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const minute = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const exact = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });

const orUnknown = (write) => (value) => value == null ? UNKNOWN : write(value);

export const count = orUnknown((value) => whole.format(value));
export const decimal = orUnknown((value) => short.format(value));
export const axis = (value) => compact.format(value);
export const percent = orUnknown((share) => `${short.format(share * 100)} %`);
export const ms = orUnknown((value) => value < 1000 ? `${short.format(value)} ms` : `${short.format(value / 1000)} s`);
export const megabytes = orUnknown((value) => `${short.format(value)} MB`);
export const bytes = orUnknown((value) =>
  value < 1e6 ? `${short.format(value / 1e3)} kB` : `${short.format(value / 1e6)} MB`);

/** Write seconds: "4.2 s", "12 min", "3.4 h". */
export const duration = orUnknown((seconds) => {
  if (seconds < 10) return `${short.format(Math.max(0, seconds))} s`;
  if (seconds < 120) return `${whole.format(seconds)} s`;
  if (seconds < 7200) return `${whole.format(seconds / 60)} min`;
  return seconds < 172800 ? `${short.format(seconds / 3600)} h` : `${whole.format(seconds / 86400)} days`;
});

/** Write an amount with its currency's code and decimals. */
export const money = (value, currency) => value == null ? UNKNOWN : `${currency} ${amount(value, currency)}`;

/** Write an amount with its currency's decimals alone. */
export const amount = (value, currency) => {
  if (value == null) return UNKNOWN;
  const { maximumFractionDigits } = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions();
  return value.toLocaleString("en", { minimumFractionDigits: maximumFractionDigits, maximumFractionDigits });
};

export const clock = (at) => time.format(new Date(at));
export const hourMinute = (epochS) => minute.format(epochS * 1000);

/** Write an instant to the millisecond, with the day where it is not today. */
export const instant = orUnknown((at) => {
  const date = new Date(at);
  const today = date.toDateString() === new Date().toDateString();
  return today ? exact.format(date) : `${day.format(date)}, ${exact.format(date)}`;
});
