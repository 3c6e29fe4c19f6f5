"""Sends, or takes, UDP datagrams each of which is a new flow: another source port every time.

new_flows.py send INTERFACE ETH_SRC ETH_DST IP_SRC IP_DST PORT RATE SECONDS FIRST     whole frames, evenly spaced
new_flows.py take PORT                                                               until a line comes on stdin

The payload is a sequence number and the time just before sending. The arrival is timed by the kernel when the frame
reaches the interface, so that neither program's own turn on a core counts. Each says its result as a line of JSON.
"""

import json
import os
import select
import socket
import struct
import sys
import time

SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
LOWEST, PORTS = 1024, 64000
QUIET_S, PATIENCE_S = 0.5, 5


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(header):
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def quantile(ordered, q):
    return ordered[min(len(ordered) - 1, int(len(ordered) * q))] if ordered else 0


def send(interface, eth_src, eth_dst, ip_src, ip_dst, port, rate, seconds, first):
    port, count, first = int(port), round(int(rate) * float(seconds)), int(first)
    addresses = socket.inet_aton(ip_src) + socket.inet_aton(ip_dst)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + 8 + 18, 0, 0x4000, 64, 17, 0) + addresses
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    frame = bytearray(mac(eth_dst) + mac(eth_src) + b"\x08\x00" + ip + struct.pack("!HHHH", 0, port, 8 + 18, 0) + bytes(18))
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    # A sleep ends within microseconds, and not within the 50 that are usual.
    try:
        with open("/proc/self/timerslack_ns", "w") as slack:
            slack.write("1")
    except OSError:
        pass
    gap = 1e9 / int(rate)
    late, refused = [], 0
    begin = time.monotonic_ns() + 10_000_000
    for n in range(count):
        due = begin + int(n * gap)
        wait = due - time.monotonic_ns()
        if wait > 0:
            time.sleep(wait / 1e9)
        struct.pack_into("!H", frame, 34, LOWEST + (first + n) % PORTS)
        late.append(time.monotonic_ns() - due)
        struct.pack_into("!IQ", frame, 42, n, time.time_ns())
        try:
            out.send(frame)
        except OSError:
            refused += 1
    took = (time.monotonic_ns() - begin) / 1e9
    late.sort()
    print(json.dumps({"sent": count - refused, "perSecond": count / took, "lateP99Us": quantile(late, 0.99) / 1000}), flush=True)


def take(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind(("0.0.0.0", int(port)))
    s.setblocking(False)
    print("ready", flush=True)
    delays, seen = [], set()
    ending, deadline = False, None
    while deadline is None or time.monotonic() < deadline:
        ready = select.select([s] if ending else [s, 0], [], [], QUIET_S)[0]
        if ending and not ready:
            break
        if not ending and 0 in ready:
            os.read(0, 1 << 16)
            ending, deadline = True, time.monotonic() + PATIENCE_S
        while s in ready:
            try:
                data, ancillary, _, _ = s.recvmsg(64, 128)
            except BlockingIOError:
                break
            number, sent = struct.unpack_from("!IQ", data)
            for level, kind, stamp in ancillary:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    whole, ns = struct.unpack("=qq", stamp[:16])
                    delays.append(whole * 1_000_000_000 + ns - sent)
            seen.add(number)
    delays.sort()
    print(json.dumps({"taken": len(seen), "p50Us": quantile(delays, 0.5) / 1000, "p99Us": quantile(delays, 0.99) / 1000}), flush=True)


{"send": send, "take": take}[sys.argv[1]](*sys.argv[2:])
