import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Why certificates cannot be made here, with the command that helps; null: they can. */
export function opensslMissing(): string | null {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return null;
  } catch {
    return "openssl not found: apt-get install openssl";
  }
}

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Key and certificate in one. */
  readonly bothFile: string;
}

/** An authority for tests; its files go into `directory`. */
export class TestAuthority {
  readonly caFile: string;
  private readonly directory: string;
  private readonly caKeyFile: string;

  constructor(directory: string, name = "ca") {
    this.directory = directory;
    this.caFile = join(directory, `${name}.pem`);
    this.caKeyFile = join(directory, `${name}-key.pem`);
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
      "req",
      "-x509",
      ...key,
      "-keyout",
      this.caKeyFile,
      "-out",
      this.caFile,
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
    );
  }

  /** `names` as in `subjectAltName`: "DNS:localhost", "IP:127.0.0.1". */
  issue(name: string, names: readonly string[]): CertificateFiles {
    const file = (what: string): string => join(this.directory, `${name}-${what}.pem`);
    const [keyFile, request, certFile, bothFile] = [file("key"), file("request"), file("cert"), file("both")];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    openssl(
      "req",
      "-new",
      ...key,
      "-keyout",
      keyFile,
      "-out",
      request,
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=${names.join()}`,
    );
    const ca = ["-CA", this.caFile, "-CAkey", this.caKeyFile, "-CAcreateserial", "-copy_extensions", "copy"];
    openssl("x509", "-req", "-in", request, ...ca, "-out", certFile, "-days", "2");
    writeFileSync(bothFile, readFileSync(keyFile, "utf8") + readFileSync(certFile, "utf8"));
    return { certFile, keyFile, bothFile };
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: "ignore" });
}
