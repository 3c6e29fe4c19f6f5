/** `unknown`: it could not be checked, which is neither good nor bad news. */
export const LEVELS = ["ok", "warn", "fail", "unknown"] as const;

export type Level = (typeof LEVELS)[number];

/** One line of the doctor. What is not in order says what to do about it. */
export type Finding =
  | { readonly level: "ok"; readonly check: string; readonly found: string }
  | {
      readonly level: Exclude<Level, "ok">;
      /** Which check, in a word or two that stay the same: for scripts. */
      readonly check: string;
      /** What was found, without a full stop. */
      readonly found: string;
      /** With the command, where one helps. */
      readonly advice: string;
    };

export const ok = (check: string, found: string): Finding => ({ level: "ok", check, found });

export const warn = (check: string, found: string, advice: string): Finding => ({
  level: "warn",
  check,
  found,
  advice,
});

export const fail = (check: string, found: string, advice: string): Finding => ({
  level: "fail",
  check,
  found,
  advice,
});

export const unknown = (check: string, found: string, advice: string): Finding => ({
  level: "unknown",
  check,
  found,
  advice,
});

const WIDEST = Math.max(...LEVELS.map((level) => level.length));

/** "fail     there is no … — systemctl start …" */
export function findingLine(finding: Finding): string {
  const advice = finding.level === "ok" ? "" : ` — ${finding.advice}`;
  return `${finding.level.padEnd(WIDEST)}  ${finding.found}${advice}`;
}

/** "12 ok, 1 warn, 0 fail, 2 unknown" */
export function countLine(findings: readonly Finding[]): string {
  return LEVELS.map((level) => `${findings.filter((f) => f.level === level).length} ${level}`).join(", ");
}

/** As people say it: "host-a, host-b and 3 more". */
export function namesLine(names: readonly string[], atMost = 6): string {
  const shown = names.slice(0, atMost).join(", ");
  return names.length <= atMost ? shown : `${shown} and ${names.length - atMost} more`;
}
