/** Links between ports and bindings of ports to hosts, inside a transaction. */
import type { HostId, PortId } from "#core/base";
import type { PortRecord } from "#core/topology";
import { decode, encode, object, text } from "./codec.ts";
import { HOST, PORT } from "./kinds.ts";
import { conflict, type Ctx, find, need, put, validate } from "./objects.ts";
import { hostBindingsPath, hostZonesPath, portActivePath } from "./paths.ts";

/** @throws MidotraceError NOT_FOUND for either port; CONFLICT when they are one, or one of them is linked or bound. */
export async function linkPorts(c: Ctx, id: PortId, peerId: PortId): Promise<void> {
  const [port, peer] = [await need(c, PORT, id), await need(c, PORT, peerId)];
  if (id === peerId) throw conflict(`port ${id} cannot be linked to itself`);
  for (const p of [port, peer]) {
    if (p.peerId !== null) throw conflict(`port ${p.id} is linked to port ${p.peerId}`);
    if (p.hostId !== null) throw conflict(`port ${p.id} is bound to host ${p.hostId}`);
  }
  put<PortRecord>(c, PORT, { ...port, peerId });
  put<PortRecord>(c, PORT, { ...peer, peerId: id });
}

/** Clears both ends; a port without link stays as it is. @throws MidotraceError NOT_FOUND for the port. */
export async function unlinkPort(c: Ctx, id: PortId): Promise<void> {
  const port = await need(c, PORT, id);
  if (port.peerId === null) return;
  const peer = await find(c, PORT, port.peerId);
  put<PortRecord>(c, PORT, { ...port, peerId: null });
  if (peer !== null) put<PortRecord>(c, PORT, { ...peer, peerId: null });
}

export interface Binding {
  readonly portId: PortId;
  readonly hostId: HostId;
  readonly interfaceName: string;
}

interface Mapping {
  readonly virtualPortId: PortId;
  readonly localDeviceName: string;
}

export const readMapping = object<Mapping>({ virtualPortId: text<PortId>(), localDeviceName: text() });

const mappingPath = (host: HostId, port: PortId): string => `${hostBindingsPath(host)}/${port}`;

/**
 * @throws MidotraceError NOT_FOUND for host or port; CONFLICT when the host is in no tunnel zone, the port is bound or
 *   linked, or the host's interface is taken.
 */
export async function bindPort(c: Ctx, { hostId, portId, interfaceName }: Binding): Promise<void> {
  await need(c, HOST, hostId);
  const port = await need(c, PORT, portId);
  validate<PortRecord>(PORT, { ...port, peerId: null, hostId, interfaceName });
  if ((await c.tx.children(hostZonesPath(hostId))).length === 0)
    throw conflict(`host ${hostId} is not in any tunnel zone`);
  if (port.hostId !== null) throw conflict(`port ${portId} is bound to ${port.interfaceName} of host ${port.hostId}`);
  if (port.peerId !== null) throw conflict(`port ${portId} is linked to port ${port.peerId}`);
  const taken = (await bindingsOf(c, hostId)).find((b) => b.interfaceName === interfaceName);
  if (taken) throw conflict(`interface ${interfaceName} of host ${hostId} is bound to port ${taken.portId}`);
  // Two bindings of one interface would not meet in any other node.
  await c.tx.touch(hostBindingsPath(hostId));
  const path = mappingPath(hostId, portId);
  c.tx.create(path, encode(readMapping, { virtualPortId: portId, localDeviceName: interfaceName }, path));
  put<PortRecord>(c, PORT, { ...port, hostId, interfaceName });
}

/** Also says that the port is no longer active. A port without binding stays as it is. @throws MidotraceError NOT_FOUND for the port. */
export async function unbindPort(c: Ctx, id: PortId): Promise<void> {
  const port = await need(c, PORT, id);
  if (port.hostId === null) return;
  await c.tx.delete(mappingPath(port.hostId, id));
  for (const host of await c.tx.children(portActivePath(id))) await c.tx.delete(`${portActivePath(id)}/${host}`);
  put<PortRecord>(c, PORT, { ...port, hostId: null, interfaceName: null });
}

export async function bindingsOf(c: Ctx, hostId: HostId): Promise<Binding[]> {
  const paths = (await c.tx.children(hostBindingsPath(hostId))).map((port) => mappingPath(hostId, port as PortId));
  const texts = await c.tx.getMany(paths);
  return texts.flatMap((data, i) => {
    if (data === null) return [];
    const mapping = decode(readMapping, data, paths[i] as string);
    return [{ hostId, portId: mapping.virtualPortId, interfaceName: mapping.localDeviceName }];
  });
}
