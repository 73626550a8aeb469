"""The connection engine: bytes on sockets become WSGI calls, and their answers bytes again.

limits      every size and time that a caller may use up
heads       the bytes of a request's head become a checked environ (llhttp, through httptools)
bodies      bodies by length and in chunks, collected before anything is called
call        one request, as the application and its lane see it
replies     the WSGI side: what the application answers becomes bytes
streaming   answers of unknown length, and `write()`
connection  one socket: its state, its buffers, its TLS
pool        the threads, and who may have one
calls       lanes, deadlines, and the way of a call from a complete request to its sent answer
acceptor    the listening socket: limits, and running out of descriptors
loop        the thread in the lead: polls, reads, serves fast calls in place, keeps the timers
clock       takes the lead away from a thread that is inside one call for too long
draining    the phases of the end
server      the subclass of cheroot's server that puts these together

Imports run one way, from the end of this list to its beginning.
"""
