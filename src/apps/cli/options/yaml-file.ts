import { readFile } from "node:fs/promises";
import { MidotraceError } from "#core/base";
import { parse } from "yaml";

/** @throws MidotraceError NOT_FOUND when the file cannot be read, VALIDATION with line and column when it is no YAML. */
export async function readYaml(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new MidotraceError("NOT_FOUND", `cannot read ${file}: ${(cause as Error).message}`, [], { cause });
  }
  try {
    return parse(text);
  } catch (cause) {
    const [first] = (cause as Error).message.split("\n");
    throw new MidotraceError("VALIDATION", `${file} is not YAML: ${first}`, [], { cause });
  }
}
