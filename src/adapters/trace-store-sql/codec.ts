import { deflateRawSync, inflateRawSync } from "node:zlib";
import { STEP_KINDS, type TraceSegment } from "#core/tracing";

/**
 * Words that every segment has, the most frequent last: what is far away costs more bits. Part of the format: a change
 * makes what was stored before unreadable, and needs a new schema version.
 */
const DICTIONARY = Buffer.from(
  [
    ...Object.keys(STEP_KINDS).map((kind) => `"kind":"${kind}",`),
    '"networkSrc":"10.0.0.1","networkDst":"10.0.0.2","networkProto":17,"srcPort":4000,"dstPort":53},"stepsLost":0,',
    '"verdict":"delivered","dropReason":null,"expects":[{"hostId":"","hostName":"","tunnelKey":1,"tunnelIp":"172.16.0.1",',
    '"token":""}],"arrival":null}"arrival":{"fromIp":"172.16.0.1","tunnelKey":1,"token":"","duplicate":false}}',
    '{"segmentId":"","flowTraceId":"","requestIds":[""],"hostId":"","hostName":"","role":"ingress","cookie":1,',
    '"startedAtMs":1700000000000,"key":{"ethSrc":"ac:ca:ba:00:00:01","ethDst":"ac:ca:ba:00:00:02","etherType":2048,',
    '"decision":"unicast-linked","mac":"ac:ca:ba:","vlan":-1,"outPort":{"id":"","name":"","source":"arp-table",',
    '"route":{"id":"","type":"Normal","src":"0.0.0.0/0","dst":"10.0.0.0/24","gateway":null,"port":"","weight":100},',
    '"routeCount":1,"candidates":1,"interface":"tap","lengthBytes":98,"requestId":"","where":"remote",',
    '"match":null,"actions":[],"idleTimeoutMs":0,"hardTimeoutMs":0,"because":"the packet was traced",',
    '"stage":"pre-bridging","ruleCount":1,"result":"accept","decidedBy":"the end","inPort":{"id":"","name":"",',
    '"header":{"ethSrc":"ac:ca:ba:00:00:01","ethDst":"ac:ca:ba:00:00:02","etherType":"0x0800","nwSrc":"10.0.0.1",',
    '"nwDst":"10.0.0.2","nwProto":17,"nwTos":0,"nwTtl":64,"tpSrc":4000,"tpDst":53},"before":{"after":{"of":{',
    '"chainId":"","chainName":"","ruleId":"","position":1,"ruleType":"accept","matched":false,"failedField":"",',
    '"wanted":"","had":"","seq":1,"atMs":1700000000000},{"device":{"type":"host","id":"","name":""},"owner":"",',
    '"kind":"rule","device":{"type":"router","device":{"type":"bridge","device":{"type":"port","id":"',
  ].join(""),
);

/** A segment is a few KiB: a small window and small buffers take a third of the time and give the same length. */
const DEFLATE = { level: 1, windowBits: 13, memLevel: 5, chunkSize: 2_048, dictionary: DICTIONARY } as const;

/** A segment as it is stored: raw deflate (RFC 1951) of its JSON. */
export function encodeSegment(segment: TraceSegment): Uint8Array {
  return deflateRawSync(JSON.stringify(segment), DEFLATE);
}

export function decodeSegment(body: Uint8Array): TraceSegment {
  return JSON.parse(inflateRawSync(body, { dictionary: DICTIONARY }).toString()) as TraceSegment;
}
