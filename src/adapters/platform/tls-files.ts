import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { MidotraceError } from "#core/base";
import { readSecretFile } from "./secret-file.ts";

/** PEM texts. */
export interface TlsMaterial {
  /** Of the server (or client) first, then of whoever signed it. */
  readonly cert: string;
  readonly key: string;
}

/**
 * A certificate and its key.
 * @param options their names in messages, "--tls-cert" and "--tls-key".
 * @throws MidotraceError USAGE when one cannot be read, others can read the key, one is no PEM, they do not belong together,
 *   or the certificate has ended.
 */
export function readTlsFiles(
  certFile: string,
  keyFile: string,
  options: { readonly cert: string; readonly key: string },
  nowMs: number,
): TlsMaterial {
  const cert = readPem(certFile, options.cert);
  const key = readSecretFile(keyFile, options.key);
  const certificate = x509(cert, `${options.cert} ${certFile}`);
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      throw usage(`${options.key}: ${keyFile} is not the key of the certificate in ${certFile}`);
  } catch (cause) {
    if (cause instanceof MidotraceError) throw cause;
    throw usage(`${options.key}: ${keyFile} has no private key (PEM, without a password) in it`, cause);
  }
  if (Date.parse(certificate.validTo) <= nowMs)
    throw usage(`${options.cert}: the certificate in ${certFile} has ended on ${certificate.validTo}`);
  return { cert, key };
}

/** Certificates of authorities to trust. @throws MidotraceError USAGE when it cannot be read or has none in it. */
export function readCaFile(path: string, option: string): string {
  const pem = readPem(path, option);
  x509(pem, `${option} ${path}`);
  return pem;
}

function readPem(path: string, option: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw usage(`${option}: ${(cause as Error).message}`, cause);
  }
}

function x509(pem: string, what: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw usage(`${what} has no certificate (PEM) in it`, cause);
  }
}

const usage = (message: string, cause?: unknown): MidotraceError => new MidotraceError("USAGE", message, [], { cause });
