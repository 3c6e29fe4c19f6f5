"""Traffic of a VM's own kernel that goes on until it is ended, and a note of each probe that was sent or came.

run FILE PLAN                 PLAN is JSON: {"listen": [PORT...], "tcp": PORT, "send": [{"stream", "kind", "to", "port", "perSecond"}...]}
                              kind "established": one UDP socket; "fresh": another source port for each probe, 20000 + n % 40000;
                              "tcp": one connection, for ever. Says "ready" when it listens.
converse IP PORT FIRST COUNT  one datagram each from the source ports FIRST, FIRST + 1 and so on

FILE gets records of 16 bytes: "s" or "r", a zero, stream (16 bits), number of the probe (32), CLOCK_MONOTONIC in ns (64),
big-endian. The clock is one for all VMs of a machine.
"""

import json
import select
import socket
import struct
import sys
import threading
import time

PROBE = struct.Struct("!HI")
RECORD = struct.Struct("!cxHIQ")
FIRST_PORT, PORTS = 20000, 40000
FLUSH_S = 0.1
SO_RCVBUFFORCE, BUFFER_BYTES = 33, 4 << 20
# A sender that was not scheduled for longer does not send all at once what it missed.
CATCH_UP_S = 0.5


class Notes:
    def __init__(self, path):
        self.file = open(path, "ab", buffering=0)
        self.lock = threading.Lock()
        self.waiting = []

    def add(self, what, stream, number):
        record = RECORD.pack(what, stream, number, time.monotonic_ns())
        with self.lock:
            self.waiting.append(record)

    def write(self):
        with self.lock:
            records, self.waiting = self.waiting, []
        if records:
            self.file.write(b"".join(records))


class Sender:
    def __init__(self, plan, notes):
        self.plan, self.notes = plan, notes
        self.every = 1 / plan["perSecond"]
        self.due = time.monotonic()
        self.number = 0
        self.to = (plan["to"], plan["port"])
        self.socket = udp() if plan["kind"] == "established" else None

    def send(self):
        stream, number = self.plan["stream"], self.number
        self.number += 1
        self.due = max(self.due + self.every, time.monotonic() - CATCH_UP_S)
        probe = PROBE.pack(stream, number)
        # Before it is sent: what was not even taken by the kernel is lost as well.
        self.notes.add(b"s", stream, number)
        try:
            if self.socket is not None:
                self.socket.sendto(probe, self.to)
                return
            with udp() as fresh:
                fresh.bind(("", FIRST_PORT + number % PORTS))
                fresh.sendto(probe, self.to)
        except OSError:
            pass


def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def tcp_sender(plan, notes):
    while True:
        try:
            connection = socket.create_connection((plan["to"], plan["port"]), timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    number, broken = 0, False
    while True:
        notes.add(b"s", plan["stream"], number)
        try:
            if not broken:
                connection.sendall(PROBE.pack(plan["stream"], number))
        except OSError:
            broken = True
        number += 1
        time.sleep(1 / plan["perSecond"])


def tcp_receiver(connection, notes):
    rest = b""
    while True:
        try:
            data = connection.recv(65536)
        except OSError:
            return
        if not data:
            return
        rest += data
        while len(rest) >= PROBE.size:
            notes.add(b"r", *PROBE.unpack_from(rest))
            rest = rest[PROBE.size :]


def tcp_server(port, notes):
    server = socket.create_server(("", port))

    def accept():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=tcp_receiver, args=(connection, notes), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def run(path, text):
    plan = json.loads(text)
    notes = Notes(path)
    inputs = []
    for port in plan["listen"]:
        s = udp()
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        s.bind(("", port))
        s.setblocking(False)
        inputs.append(s)
    tcp_server(plan["tcp"], notes)
    print("ready", flush=True)
    for one in plan["send"]:
        if one["kind"] == "tcp":
            threading.Thread(target=tcp_sender, args=(one, notes), daemon=True).start()
    senders = [Sender(one, notes) for one in plan["send"] if one["kind"] != "tcp"]
    flush = time.monotonic()
    while True:
        due = min([flush + FLUSH_S, *(s.due for s in senders)])
        ready, _, _ = select.select(inputs, [], [], max(0, due - time.monotonic()))
        for s in ready:
            receive(s, notes)
        now = time.monotonic()
        for sender in senders:
            if sender.due <= now:
                sender.send()
        if now - flush >= FLUSH_S:
            notes.write()
            flush = now


def receive(s, notes):
    while True:
        try:
            data = s.recv(64)
        except OSError:
            return
        if len(data) == PROBE.size:
            notes.add(b"r", *PROBE.unpack(data))


def converse(ip, port, first, count):
    for source in range(int(first), int(first) + int(count)):
        with udp() as s:
            s.bind(("", source))
            s.sendto(b"conversation", (ip, int(port)))


{"run": run, "converse": converse}[sys.argv[1]](*sys.argv[2:])
