import { API_OPTIONS, type ApiOptionValues } from "#apps/api";
import { readOptions } from "#apps/cli";

/** The options of an API server that nobody has given any, on a free port, but for these. */
export function apiOptions(given: Partial<ApiOptionValues> = {}): ApiOptionValues {
  const { values } = readOptions(API_OPTIONS, { argv: [], env: {}, loadConfig: () => ({}) });
  return { ...(values as unknown as ApiOptionValues), listen: "127.0.0.1:0", ...given };
}
