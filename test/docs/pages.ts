import { join } from "node:path";
import { cliReference, commandIndex } from "#apps/cli";
import { authorisationReference, errorReference, restReference } from "#core/api-contract";
import { znodeReference } from "#core/nsdb";

export const commands = await Promise.all((await commandIndex()).map((entry) => entry.load()));

/** The pages below docs/reference that are printed from declarations in the code. */
export const PRINTED_PAGES: Readonly<Record<string, () => string>> = {
  "rest-api.md": restReference,
  "authorisation.md": authorisationReference,
  "errors.md": errorReference,
  "cli.md": () => cliReference(commands),
  "znodes.md": znodeReference,
};

export const ROOT = join(import.meta.dirname, "../..");
export const pagePath = (name: string): string => join(ROOT, "docs/reference", name);
