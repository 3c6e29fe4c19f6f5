import { command, readSecret, usage } from "#apps/cli/options";

export const authHash = command({
  name: "auth hash",
  summary: "hash a password for the file of midotrace api --auth static:FILE",
  positionals: [],
  options: {},
  examples: ["midotrace auth hash"],
  async run({ io }) {
    const { hashPassword } = await import("#adapters/auth-static");
    const password = await readSecret(io, "password: ");
    if (password === "") throw usage("an empty password is none");
    if (io.askSecret !== undefined && (await readSecret(io, "again: ")) !== password)
      throw usage("the two passwords are not the same");
    io.out(`${await hashPassword(password)}\n`);
    return 0;
  },
});
