/*
 * systemctl of a machine in a guide, where no systemd runs. A service is started as its unit file or init script says: units
 * of ours from /etc/systemd/system, those of Debian's packages from what the packages have. A service that ends stays ended.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { readUnit, serviceCommand } from "./systemd-unit.ts";

const RUN = "/run/services";
const GRACE_MS = 15_000;
const OPENVSWITCH = `
  mkdir -p /run/openvswitch /etc/openvswitch
  [ -e /etc/openvswitch/conf.db ] || ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
  ovsdb-server /etc/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --detach --log-file --no-chdir -vconsole:off
  ovs-vsctl --no-wait init
  ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile --detach --log-file --no-chdir -vconsole:off $DISABLE_SYSTEM
`;
// As /etc/init.d/zookeeper of Debian's package zookeeperd does.
const ZOOKEEPER = `
  . /etc/zookeeper/conf/environment
  mkdir -p $ZOO_LOG_DIR
  exec $JAVA -cp $CLASSPATH -Xmx128m $JAVA_OPTS -Dzookeeper.log.dir=$ZOO_LOG_DIR $ZOOMAIN $ZOOCFG
`;

function commandOf(service: string): readonly string[] {
  if (service === "openvswitch-switch") {
    const system = existsSync("/sys/module/openvswitch") ? "" : "--disable-system";
    return ["env", `DISABLE_SYSTEM=${system}`, "sh", "-ec", OPENVSWITCH];
  }
  if (service === "zookeeper") return ["sh", "-ec", ZOOKEEPER];
  const file = `/etc/systemd/system/${service}.service`;
  if (!existsSync(file)) fail(`Unit ${service}.service could not be found.`);
  const unit = readUnit(file);
  const [state] = unit.all("Service", "StateDirectory");
  if (state !== undefined) mkdirSync(`/var/lib/${state}`, { recursive: true, mode: 0o750 });
  const credentials = `${RUN}/${service}.credentials`;
  mkdirSync(credentials, { recursive: true });
  for (const loaded of unit.all("Service", "LoadCredential")) {
    const [id = "", path = ""] = loaded.split(":");
    writeFileSync(`${credentials}/${id}`, readFileSync(path));
  }
  return serviceCommand(unit, credentials);
}

function start(service: string): void {
  if (pidOf(service) !== null) return;
  const [command = "", ...args] = commandOf(service);
  if (service === "openvswitch-switch") {
    // Its daemons leave by themselves.
    const { status } = spawnSync(command, args, { stdio: "inherit" });
    return status === 0 ? undefined : fail(`${service} could not be started`);
  }
  const log = openSync(`/var/log/${service}.log`, "a");
  const child = spawn(command, args, { detached: true, stdio: ["ignore", log, log], cwd: "/" });
  if (child.pid === undefined) fail(`${service}: ${command} could not be started`);
  writeFileSync(`${RUN}/${service}.pid`, String(child.pid));
  child.unref();
}

async function stop(service: string): Promise<void> {
  const pid = pidOf(service);
  if (pid === null) return;
  const unit = `/etc/systemd/system/${service}.service`;
  const signal = existsSync(unit) ? readUnit(unit).one("Service", "KillSignal") : "SIGTERM";
  process.kill(pid, signal);
  const end = performance.now() + GRACE_MS;
  while (pidOf(service) !== null) {
    if (performance.now() > end) fail(`${service} did not end within ${GRACE_MS} ms`);
    await pause(20);
  }
  rmSync(`${RUN}/${service}.pid`, { force: true });
}

/** Null: it does not run. */
function pidOf(service: string): number | null {
  const file = `${RUN}/${service}.pid`;
  const pid = existsSync(file) ? Number(readFileSync(file, "utf8")) : null;
  if (pid === null || !existsSync(`/proc/${pid}`)) return null;
  return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8")) ? null : pid;
}

function fail(why: string): never {
  console.error(why);
  process.exit(1);
}

mkdirSync(RUN, { recursive: true });
const words = process.argv.slice(2);
const [verb = "", service = ""] = words.filter((w) => w !== "--now");
const now = words.includes("--now");
switch (verb) {
  case "daemon-reload":
    break;
  case "enable":
  case "start":
    if (verb === "start" || now) start(service);
    break;
  case "disable":
  case "stop":
    if (verb === "stop" || now) await stop(service);
    break;
  case "restart":
    await stop(service);
    start(service);
    break;
  default:
    fail(`systemctl ${words.join(" ")}: not played here`);
}
