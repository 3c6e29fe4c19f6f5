import type { OptionTable, OptionValues } from "#apps/cli/options";

/** The API server's options; help, environment, configuration file and reference page are read from here. */
export const API_OPTIONS = {
  store: {
    kind: "text",
    placeholder: "URL",
    default: "memory:",
    description:
      "the store with the virtual network: memory: or file:DIR (zookeeper://HOSTS/PATH is not in this release)",
  },
  listen: {
    kind: "text",
    placeholder: "ADDRESS:PORT",
    default: "127.0.0.1:8181",
    description: "where the API listens; port 0 takes any free one",
  },
  auth: { kind: "text", placeholder: "KIND", default: "none", description: "who may ask: none, which is everybody" },
  insecure: {
    kind: "flag",
    default: false,
    description: "let others reach the API with --auth none, where everybody is an administrator",
  },
} as const satisfies OptionTable;

export type ApiOptionValues = OptionValues<typeof API_OPTIONS>;
