import { networkInterfaces } from "node:os";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { openExporters, parseTarget } from "#adapters/exporters";
import { openStoreWithStatus } from "#adapters/nsdb-open";
import {
  jsonLog,
  type ProcessLog,
  StateDirectory,
  systemClock,
  systemRandom,
  systemScheduler,
} from "#adapters/platform";
import { isRemoteTraceStore, openTraceStore } from "#adapters/trace-store-open";
import { openWebFiles } from "#adapters/web-files";
import { command, untilStopped, usage } from "#apps/cli/options";
import type { Lifecycle, MidotraceError } from "#core/base";
import { type Exporter, exporterMetrics } from "#core/exporting";
import { collectorUrl, guardIdentity, type GuardOptions, MeasuredStore } from "#core/nsdb";
import { advertisedUrl } from "./advertise.ts";
import { AgentReports } from "./agent-reports.ts";
import { AliveHosts } from "./alive-hosts.ts";
import { ApiServer } from "./api-server.ts";
import { CLOSED_GATE, OPEN_GATE } from "./caller.ts";
import { FlowExports } from "./flow-exports.ts";
import { isLoopback, type ListenAddress, parseListen, requireLoopback } from "./listen.ts";
import { AuditOutput } from "./main-audit.ts";
import { composeDoors } from "./main-identity.ts";
import { NO_RATE_LIMITS, rateLimits, serverLimits, tenantLimits } from "./limits.ts";
import { API_OPTIONS, type ApiOptionValues } from "./options.ts";
import { keptOf, traceStoreUrl } from "./trace-store-options.ts";

export const apiCommand = command({
  name: "api",
  summary: "run the REST API over a store",
  positionals: [],
  options: API_OPTIONS,
  examples: [
    "midotrace api --store file:./lab-data --listen 127.0.0.1:8181",
    "midotrace api --store zookeeper://10.0.0.1:2181,10.0.0.2:2181/midonet/v1 --collect 10.0.0.1:8182 --insecure",
    "midotrace api --listen 10.0.0.1:8181 --auth static:users.yaml --tls-cert api.pem --tls-key api-key.pem",
    "midotrace api --auth keystone:https://keystone:5000/v3 --config /etc/midotrace/api.yaml",
  ],
  async run({ options, io }) {
    const api = composeApi(options, io.version);
    await api.start();
    io.out(`listening on ${api.server.url}\n`);
    await untilStopped(io);
    await api.stop();
    return 0;
  },
});

const stderrLog = jsonLog(systemClock, "info", (line) => void process.stderr.write(line));

/**
 * The API server of a command line, with everything it needs. `start` resolves when the server listens: a store elsewhere
 * may come later, or again; one in this process is there, or `start` fails.
 * @throws MidotraceError USAGE
 */
export function composeApi(
  options: ApiOptionValues,
  version: string,
  log: ProcessLog = stderrLog,
): Lifecycle & { readonly server: ApiServer } {
  const doors = composeDoors(options, log);
  for (const target of options.export) parseTarget(target);
  const { host, port } = parseListen(options.listen);
  requireLoopback(host, options.insecure || doors.identity.kind !== "none");
  const collect = options.collect === null ? {} : { collect: parseListen(options.collect) };
  if (collect.collect !== undefined)
    requireLoopback(collect.collect.host, options.insecure || doors.agents !== OPEN_GATE, "collect");
  if (doors.clientCa !== null && collect.collect === undefined)
    throw usage("--collect-client-ca needs --collect ADDRESS:PORT: agents show their certificates there");
  if (doors.tls === null && doors.identity.kind !== "none" && !isLoopback(host))
    log("warn", "passwords and tokens cross the network in clear text: give --tls-cert and --tls-key", {
      listen: options.listen,
    });
  const parts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom };
  const opened = openStoreWithStatus(options.store, { ...parts, log });
  // Another store at the same address, or an emptied one, must not be taken for this one and filled anew.
  const measured = new MeasuredStore(opened.store, systemClock);
  const guarded = opened.remote
    ? guardIdentity(measured, { scheduler: systemScheduler, ...memoryOf(options, log) })
    : null;
  const store = guarded ?? measured;
  const explicit = options.advertise === null ? null : collectorUrl(options.advertise);
  const advertise = (listening: { readonly url: string; readonly collectUrl: string | null }): string =>
    explicit ?? advertisedUrl(listening.collectUrl ?? listening.url, Object.values(networkInterfaces()).flat());
  if (opened.remote) {
    // Before anything listens: where it would have to guess, it refuses.
    const scheme = doors.tls === null ? "http" : "https";
    const collectUrl = collect.collect ? urlOf(scheme, collect.collect) : null;
    const url = advertise({ url: urlOf(scheme, { host, port }), collectUrl });
    if (doors.agents === CLOSED_GATE)
      log(
        "warn",
        "agents cannot deliver traces here, as they have no credentials: give --agent-token or --collect-client-ca",
      );
    if (isLoopback(new URL(url).hostname.replace(/^\[|\]$/g, "")))
      log("warn", "agents on other hosts cannot deliver traces here: say --collect ADDRESS:PORT or --advertise URL", {
        url,
      });
  }
  const apiLog = {
    info: (message: string, fields?: object) => log("info", message, { ...fields }),
    error: (message: string, fields?: object) => log("error", message, { ...fields }),
  };
  const audit = new AuditOutput(options["audit-log"], log);
  const aliveHosts = new AliveHosts(store, apiLog);
  const agentReports = new AgentReports(systemClock);
  const traceUrl = traceStoreUrl(options);
  const traceStore = openTraceStore(traceUrl, {
    ...parts,
    ...keptOf(options),
    hostDown: (id) => aliveHosts.isDown(id),
    caughtUpMs: (id) => agentReports.caughtUpMs(id),
  });
  let exporters: readonly Exporter[] = [];
  let exports: FlowExports | null = null;
  const server = new ApiServer({
    ...parts,
    store,
    traceStore,
    traceStoreProblem: () => traceStore.problem(),
    aliveHosts,
    agentReports,
    log: apiLog,
    host,
    port,
    ...collect,
    insecure: options.insecure,
    limits: serverLimits(options),
    // Where nobody is told apart, nobody is held back for what others ask.
    rates: options.auth === "none" ? NO_RATE_LIMITS : rateLimits(options),
    tenantLimits: tenantLimits(options),
    audit: audit.write,
    site: openWebFiles(),
    identity: doors.identity,
    agents: doors.agents,
    tls: doors.tls,
    clientCa: doors.clientCa,
    version,
    renderMetrics: (sources) => prometheusPage(sources, { process: true }),
    metrics: [measured.metrics(), exporterMetrics(() => exporters)],
    // Agents are told only where there can be any.
    ...(opened.remote
      ? {
          advertise,
          startStore: () => store.start(),
          storeProblem: () => opened.waitingFor() ?? guarded?.problem() ?? null,
          sealSecret: () => guarded?.identity ?? null,
        }
      : {}),
  });
  return {
    server,
    start: async () => {
      exporters = await openExporters(options.export, { ...parts, unit: "flows", log });
      exports = new FlowExports(traceStore, exporters, apiLog);
      await doors.start();
      try {
        await audit.start();
        if (!opened.remote) await store.start();
        await startTraceStore(traceStore, isRemoteTraceStore(traceUrl), log);
        await exports.start();
        await server.start();
      } catch (error) {
        await exports.stop();
        await traceStore.stop();
        await store.stop();
        await doors.stop();
        await audit.stop();
        throw error;
      }
    },
    stop: async () => {
      await server.stop();
      await exports?.stop();
      await traceStore.stop();
      await store.stop();
      await doors.stop();
      await audit.stop();
    },
  };
}

/** A trace store elsewhere may come later; everything else than its absence is an error. */
async function startTraceStore(traceStore: Lifecycle, remote: boolean, log: ProcessLog): Promise<void> {
  try {
    await traceStore.start();
  } catch (error) {
    if (!remote || (error as Partial<MidotraceError>).code !== "STORE_UNAVAILABLE") throw error;
    log("warn", "the trace store is away: deliveries and readers are answered 503 until it is there", { error });
  }
}

/** What is kept of the store's identity over restarts; nothing without --data. */
function memoryOf(options: ApiOptionValues, log: ProcessLog): Pick<GuardOptions, "expected" | "learned"> {
  if (options.data === null) return {};
  const state = new StateDirectory(options.data, "--data");
  return {
    expected: state.storeIdentity(options.store),
    learned: (id) => {
      try {
        state.rememberStore(options.store, id);
      } catch (error) {
        log("warn", "the identity of the store could not be remembered", { error });
      }
    },
  };
}

const urlOf = (scheme: string, { host, port }: ListenAddress): string =>
  `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
