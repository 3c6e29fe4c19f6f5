import { KeystoneIdentities, REMEMBERED_MS } from "#adapters/auth-keystone";
import { FakeKeystone } from "../support/fake-keystone.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { identityProviderSuite } from "./identity-provider.ts";

identityProviderSuite("keystone", async () => {
  const time = new VirtualTime();
  const keystone = new FakeKeystone({ clock: time });
  await keystone.start();
  keystone.user("midotrace", "service secret", { service: ["service"] });
  const ann = keystone.user("ann", "secret", { red: ["Tenant_Admin", "member"], blue: ["tenant_user"] });
  const provider = new KeystoneIdentities({
    url: `${keystone.url}/v3`,
    service: { user: "midotrace", password: "service secret", project: "service" },
    domain: { id: "default" },
    defaultProject: null,
    roles: { admin: "admin", tenant_admin: "tenant_admin", tenant_user: "tenant_user" },
    ca: null,
    timeoutMs: 5_000,
    clock: time,
    scheduler: time,
    log: () => undefined,
  });
  await provider.start();
  return {
    provider,
    redId: keystone.projects.get("red") ?? "",
    settle: () => time.advance(REMEMBERED_MS + 1),
    outlive: () => time.advance(3_600_001),
    takeAnnAway: () => Promise.resolve(void (ann.enabled = false)),
    bringAnnBack: () => Promise.resolve(void (ann.enabled = true)),
    stop: async () => {
      await provider.stop();
      await keystone.stop();
    },
  };
});
