"""The connection engine: bytes on sockets become WSGI calls, and their answers bytes again.

limits      every size and time that a caller may use up
rules       what HTTP/1.1 asks of a request beyond the syntax of its fields
heads       the bytes of a request's head become a checked environ (llhttp, through httptools)
bodies      bodies by length and in chunks, collected before anything is called
draining    the phases of the end
call        one request, as the application and its lane see it
held        receiving and sending without letting go of the interpreter lock
connection  one socket: its state, its buffers, its TLS
streaming   answers of unknown length, and `write()`
replies     the WSGI side: what the application answers becomes bytes
pool        the threads, and who may have one
exchange    the open connections: how an answer leaves, and what becomes of its connection then
calls       lanes, deadlines, and the way of a call from a complete request to its answer
intake      from received bytes to a complete request
tls         cheroot's TLS adapter, without blocking in it
acceptor    the listening socket: limits, and running out of descriptors
timers      deadlines, connections that are given up, and the steps of draining
loop        the turns of the thread in the lead: it polls, reads, and serves fast calls in place
clock       takes the lead away from a thread that is inside one call for too long
server      the subclass of cheroot's server that puts these together

Imports run one way, from the end of this list towards its beginning.
"""
