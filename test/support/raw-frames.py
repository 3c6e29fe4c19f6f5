"""Whole Ethernet frames in and out of interfaces of one network namespace, for tests.

stdin:  u32 length, u8 kind, body     "o" id:u8 name   open an interface     "c" id:u8   close it
                                      "s" id:u8 frame  send                  "u" from to port:u16   an empty UDP datagram
                                      "p" token        asks for "p" token after everything before it was done
stdout: u32 length, u8 kind, body     "r" id:u8 frame  received    "p" token    "e" text   an error
"""

import os
import selectors
import socket
import struct
import sys

SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
SO_RCVBUFFORCE = 33
VLAN_VALID, VLAN_TPID_VALID = 0x10, 0x40

selector = selectors.DefaultSelector()
sockets = {}
pending = b""


def say(kind, body):
    data = struct.pack("!I", 1 + len(body)) + kind + body
    while data:
        data = data[os.write(1, data):]


def open_interface(number, name):
    close_interface(number)
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    s.bind((name, 0))
    s.setblocking(False)
    # What came between the socket's birth and its binding is of any interface.
    try:
        while True:
            s.recv(65536)
    except BlockingIOError:
        pass
    except OSError:
        pass
    sockets[number] = s
    selector.register(s, selectors.EVENT_READ, number)


def close_interface(number):
    s = sockets.pop(number, None)
    if s is not None:
        selector.unregister(s)
        s.close()


def receive(number, s):
    for _ in range(64):
        try:
            frame, ancillary, _, _ = s.recvmsg(65536, 256)
        except BlockingIOError:
            return
        except OSError:
            # The interface went down or away; the test sees it otherwise.
            return
        for level, kind, data in ancillary:
            if level != SOL_PACKET or kind != PACKET_AUXDATA:
                continue
            status, _, _, _, _, tci, tpid = struct.unpack_from("=IIIHHHH", data)
            if status & VLAN_VALID:
                tpid = tpid if status & VLAN_TPID_VALID else 0x8100
                frame = frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
        say(b"r", bytes([number]) + frame)


def command(kind, body):
    if kind == b"s":
        s = sockets.get(body[0])
        if s is not None:
            s.send(body[1:])
    elif kind == b"o":
        open_interface(body[0], body[1:].decode())
    elif kind == b"c":
        close_interface(body[0])
    elif kind == b"p":
        say(b"p", body)
    elif kind == b"u":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.bind((socket.inet_ntoa(body[0:4]), 0))
            s.sendto(b"", (socket.inet_ntoa(body[4:8]), struct.unpack("!H", body[8:10])[0]))


def commands():
    global pending
    data = os.read(0, 1 << 20)
    if not data:
        sys.exit(0)
    pending += data
    while len(pending) >= 4:
        (length,) = struct.unpack_from("!I", pending)
        if len(pending) < 4 + length:
            return
        kind, body = pending[4:5], pending[5 : 4 + length]
        pending = pending[4 + length :]
        try:
            command(kind, body)
        except OSError as error:
            say(b"e", f"{kind.decode()}: {error}".encode())


selector.register(0, selectors.EVENT_READ, None)
while True:
    for key, _ in selector.select():
        if key.data is None:
            commands()
        else:
            receive(key.data, key.fileobj)
