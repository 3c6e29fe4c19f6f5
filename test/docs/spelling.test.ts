import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { ROOT } from "./pages.ts";

/** Slips that fingers make, of the words that these pages use; what is right after each. */
const SLIPS: Readonly<Record<string, string>> = {
  accross: "across",
  adress: "address",
  adresses: "addresses",
  agian: "again",
  allways: "always",
  alredy: "already",
  anwser: "answer",
  arguement: "argument",
  asume: "assume",
  asynchronus: "asynchronous",
  authentification: "authentication",
  authoriation: "authorisation",
  availabe: "available",
  becuase: "because",
  begining: "beginning",
  beleive: "believe",
  brigde: "bridge",
  charcter: "character",
  comming: "coming",
  commited: "committed",
  completness: "completeness",
  conection: "connection",
  condtion: "condition",
  configuraton: "configuration",
  consistant: "consistent",
  counterpats: "counterparts",
  defintion: "definition",
  delievered: "delivered",
  depricated: "deprecated",
  desription: "description",
  diffrent: "different",
  dissappear: "disappear",
  enviroment: "environment",
  exmaple: "example",
  existance: "existence",
  explicitely: "explicitly",
  failiure: "failure",
  familar: "familiar",
  fitler: "filter",
  folowing: "following",
  foward: "forward",
  fucntion: "function",
  guarentee: "guarantee",
  happend: "happened",
  identifer: "identifier",
  immediatly: "immediately",
  independant: "independent",
  infomation: "information",
  inital: "initial",
  interupt: "interrupt",
  lenght: "length",
  libary: "library",
  maintainance: "maintenance",
  managment: "management",
  mesage: "message",
  neccessary: "necessary",
  neighbor: "neighbour",
  noticable: "noticeable",
  occured: "occurred",
  occurence: "occurrence",
  optinal: "optional",
  overriden: "overridden",
  paramter: "parameter",
  permision: "permission",
  persistant: "persistent",
  posible: "possible",
  prefered: "preferred",
  previos: "previous",
  propery: "property",
  protocl: "protocol",
  recieve: "receive",
  recieved: "received",
  reciever: "receiver",
  recomend: "recommend",
  refered: "referred",
  relevent: "relevant",
  reponse: "response",
  requst: "request",
  seperate: "separate",
  sepcified: "specified",
  shoud: "should",
  similiar: "similar",
  simultanous: "simultaneous",
  succesful: "successful",
  sucess: "success",
  teh: "the",
  tenat: "tenant",
  thier: "their",
  threshhold: "threshold",
  tunel: "tunnel",
  unkown: "unknown",
  untill: "until",
  usefull: "useful",
  verison: "version",
  wether: "whether",
  wich: "which",
  withold: "withhold",
  witheld: "withheld",
  writen: "written",
};

const pages = globSync(["*.md", "docs/**/*.md"], { cwd: ROOT });

/** Prose: without code, addresses and tables' bars. */
function prose(text: string): string[] {
  const plain = text
    .replaceAll(/```.*?```/gs, " ")
    .replaceAll(/`[^`\n]*`/g, " , ")
    .replaceAll(/\]\([^)]*\)/g, "] ");
  return plain.match(/[A-Za-z]+|[^A-Za-z\s]+/g) ?? [];
}

describe("the spelling of the documents", () => {
  it("has none of the slips that fingers make", () => {
    assert.ok(pages.length > 30, `${pages.length} pages found`);
    for (const page of pages)
      for (const word of prose(readFileSync(join(ROOT, page), "utf8")))
        assert.ok(!Object.hasOwn(SLIPS, word.toLowerCase()), `${page}: ${word}, for ${SLIPS[word.toLowerCase()]}`);
  });

  it("has no word twice in a row", () => {
    /** "that that", "had had" can be right. */
    const may = new Set(["that", "had"]);
    for (const page of pages) {
      const words = prose(readFileSync(join(ROOT, page), "utf8"));
      for (const [i, word] of words.entries()) {
        const twice = /^[a-z]+$/i.test(word) && word.toLowerCase() === words[i - 1]?.toLowerCase();
        assert.ok(
          !twice || may.has(word.toLowerCase()),
          `${page}: "${words.slice(Math.max(0, i - 4), i + 3).join(" ")}"`,
        );
      }
    }
  });
});
