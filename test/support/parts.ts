/**
 * For `{ skip: … }`: why a test that needs a real part cannot run here, with the command that helps, or false. Where all
 * parts must be there (`MIDOTRACE_REQUIRE_ALL=1`) nothing is skipped: the test fails for the same reason.
 */
export function missingPart(...missing: readonly (string | null)[]): string | false {
  const reasons = missing.filter((m) => m !== null);
  if (reasons.length === 0) return false;
  const text = reasons.join("; ");
  if (process.env["MIDOTRACE_REQUIRE_ALL"] === "1") throw new Error(`a part is missing: ${text}`);
  return text;
}
