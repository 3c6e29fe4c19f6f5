import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { it } from "node:test";
import { ROOT } from "./pages.ts";

const NOT_OURS = new Set(["node_modules", "dist", "dist-web"]);

function markdownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name.startsWith(".") || NOT_OURS.has(entry.name) ? [] : markdownFiles(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

const prose = (markdown: string): string => markdown.replace(/^```[^]*?^```$/gm, "").replace(/`[^`\n]*`/g, "code");

/** Targets of inline links and of reference definitions that lead somewhere in the repository. */
function relativeLinks(markdown: string): string[] {
  const text = prose(markdown);
  const inline = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)];
  const definitions = [...text.matchAll(/^\s{0,3}\[[^\]]+\]:\s+<?([^\s>]+)>?/gm)];
  return [...inline, ...definitions].map((m) => m[1] ?? "").filter((link) => !/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(link));
}

/** As GitHub makes them: lower case, punctuation gone, blanks to hyphens. */
function anchors(file: string): Set<string> {
  const headings = readFileSync(file, "utf8").matchAll(/^#{1,6} +(.+?) *#*$/gm);
  const slug = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
  return new Set([...headings].map((m) => slug(m[1] ?? "")));
}

function problem(file: string, link: string): string | null {
  const [path = "", anchor = ""] = link.split("#");
  const target = path === "" ? file : join(dirname(file), decodeURIComponent(path));
  if (!existsSync(target)) return "no such file";
  if (anchor === "") return null;
  if (!statSync(target).isFile()) return "a folder has no headings";
  return anchors(target).has(decodeURIComponent(anchor)) ? null : "no such heading";
}

it("every relative link of every page leads to a file, and to a heading where it names one", () => {
  const files = markdownFiles(ROOT);
  assert.ok(files.length > 15, `${files.length} pages`);
  const links = files.flatMap((file) => relativeLinks(readFileSync(file, "utf8")).map((link) => ({ file, link })));
  assert.ok(links.length > 30, `${links.length} links`);
  const broken = links.flatMap(({ file, link }) => {
    const why = problem(file, link);
    return why === null ? [] : [`${relative(ROOT, file)}: ${link}: ${why}`];
  });
  assert.deepEqual(broken, []);
});

it("broken links are found", () => {
  const page = "[a](nope.md) [b](README.md#nope) [c](https://example.org) `[d](code)`\n\n[e]: gone.md\n";
  const links = relativeLinks(page);
  assert.deepEqual(links, ["nope.md", "README.md#nope", "gone.md"]);
  for (const link of links) assert.ok(problem(join(ROOT, "page.md"), link) !== null, link);
});

it("docs/reference/README.md lists every page of the reference, and no other", () => {
  const folder = join(ROOT, "docs/reference");
  const pages = readdirSync(folder).filter((name) => name !== "README.md");
  assert.deepEqual(relativeLinks(readFileSync(join(folder, "README.md"), "utf8")).toSorted(), pages.toSorted());
});
