import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashPassword, StaticIdentities } from "#adapters/auth-static";
import { VirtualTime } from "../support/virtual-time.ts";
import { identityProviderSuite } from "./identity-provider.ts";

identityProviderSuite("static", async () => {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-auth-"));
  const file = join(directory, "users.yaml");
  const time = new VirtualTime();
  const write = (users: readonly object[]): void =>
    writeFileSync(file, JSON.stringify({ users, tokenLifetimeS: 3600 }), { mode: 0o600 });
  const project = (id: string, name: string, role: string): object => ({ id, name, roles: [role] });
  const projects = [project("r", "red", "tenant_admin"), project("b", "blue", "tenant_user")];
  const ann = { name: "ann", password: await hashPassword("secret"), projects };
  const bob = { name: "bob", password: await hashPassword("secret of bob"), projects };
  write([ann, bob]);
  const provider = new StaticIdentities({ file, clock: time, scheduler: time, log: () => undefined });
  await provider.start();
  return {
    provider,
    redId: "r",
    settle: () => time.advance(1_001),
    outlive: () => time.advance(3_600_001),
    takeAnnAway: () => Promise.resolve(write([bob])),
    bringAnnBack: () => Promise.resolve(write([ann, bob])),
    stop: async () => {
      await provider.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
});
