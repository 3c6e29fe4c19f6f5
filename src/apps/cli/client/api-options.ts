import type { OptionTable, OptionValues } from "#apps/cli/options";
import { ApiClient } from "./api-client.ts";

/** What every command that talks to a server has. */
export const API_OPTIONS = {
  api: {
    kind: "text",
    placeholder: "URL",
    default: "http://127.0.0.1:8181",
    description: "the API server",
  },
  token: {
    kind: "text",
    placeholder: "TOKEN",
    default: null,
    description: "authentication token, sent as X-Auth-Token",
  },
} as const satisfies OptionTable;

export const JSON_OPTION = {
  json: {
    kind: "flag",
    default: false,
    description: "print the server's JSON, exact to the digit, instead of a table",
  },
} as const satisfies OptionTable;

export function clientOf(options: OptionValues<typeof API_OPTIONS>, stop: AbortSignal): ApiClient {
  return new ApiClient(options.api, options.token, stop);
}
