import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { IdentityProvider } from "#core/identity";

/** What a suite needs to know of a provider; `change` says what somebody does who runs it. */
export interface IdentityRig {
  readonly provider: IdentityProvider;
  /** Of user "ann", password "secret", tenant_admin in project "red" (whose id is `redId`) and tenant_user in "blue". */
  readonly redId: string;
  /** Lets time pass, until what was changed counts. */
  settle(): Promise<void>;
  /** Lets a token's whole lifetime pass. */
  outlive(): Promise<void>;
  takeAnnAway(): Promise<void>;
  /** Makes ann come back. */
  bringAnnBack(): Promise<void>;
  stop(): Promise<void>;
}

const UNAUTHENTICATED = { code: "UNAUTHENTICATED" };

/** Holds for every provider that asks who somebody is. */
export function identityProviderSuite(name: string, start: () => Promise<IdentityRig>): void {
  describe(`identity provider: ${name}`, () => {
    let rig: IdentityRig;
    before(async () => {
      rig = await start();
    });
    after(() => rig.stop());
    const login = (password = "secret", project: string | null = "red", user = "ann") =>
      rig.provider.login({ user, password, project });

    it("gives a token for user, password and project, and knows whose it is", async () => {
      const { token, expiresAtMs, identity } = await login();
      const who = await rig.provider.identify(token);
      assert.deepEqual(
        [who.tenantId, who.tenantName, who.roles, who.admin],
        [rig.redId, "red", ["tenant_admin"], false],
      );
      assert.equal(who.expiresAtMs, expiresAtMs);
      assert.deepEqual(identity, who);
      const blue = await rig.provider.identify((await login("secret", "blue")).token);
      assert.deepEqual([blue.tenantName, blue.roles], ["blue", ["tenant_user"]]);
      assert.equal(blue.userId, who.userId);
    });

    it("gives tokens that fit into a cookie and a header as they are", async () => {
      assert.match((await login()).token, /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{20,}$/);
    });

    it("lets nobody in by a wrong password, user or project, nor without a project where there are several", async () => {
      await assert.rejects(login("wrong"), UNAUTHENTICATED);
      await assert.rejects(login(""), UNAUTHENTICATED);
      await assert.rejects(login("secret", "green"), UNAUTHENTICATED);
      await assert.rejects(login("secret", "red", "nobody"), UNAUTHENTICATED);
      await assert.rejects(login("secret", null), UNAUTHENTICATED);
    });

    it("knows no token that it did not give", async () => {
      const { token } = await login();
      const other = token.endsWith("A") ? `${token.slice(0, -1)}B` : `${token.slice(0, -1)}A`;
      for (const wrong of [
        null,
        "",
        " ",
        "x",
        other,
        `${token}x`,
        token.slice(1),
        token.toUpperCase(),
        "a\nb",
        "…",
        "x".repeat(20_000),
      ])
        await assert.rejects(rig.provider.identify(wrong), UNAUTHENTICATED, String(wrong).slice(0, 40));
      assert.ok(await rig.provider.identify(token));
    });

    it("a token ends with its lifetime", async () => {
      const { token } = await login();
      await rig.provider.identify(token);
      await rig.outlive();
      await assert.rejects(rig.provider.identify(token), UNAUTHENTICATED);
    });

    it("a token ends when its user is gone", async () => {
      const { token } = await login();
      await rig.provider.identify(token);
      await rig.takeAnnAway();
      await rig.settle();
      await assert.rejects(rig.provider.identify(token), UNAUTHENTICATED);
      await assert.rejects(login(), UNAUTHENTICATED);
      await rig.bringAnnBack();
      await rig.settle();
      assert.ok((await login()).token);
    });

    it("knows the tenants", async () => {
      const names = (await rig.provider.tenants())?.map((t) => [t.name, t.enabled]);
      for (const name of ["blue", "red"])
        assert.ok(
          names?.some(([n, enabled]) => n === name && enabled === true),
          name,
        );
    });

    it("no message has a password or a token in it", async () => {
      const { token } = await login();
      const messages = await Promise.all(
        [login("a-wrong-password"), rig.provider.identify(`${token}x`)].map((p) =>
          p.then(
            () => "",
            (e: Error) => e.message,
          ),
        ),
      );
      for (const message of messages)
        assert.ok(message !== "" && !message.includes("a-wrong-password") && !message.includes(token));
    });
  });
}
