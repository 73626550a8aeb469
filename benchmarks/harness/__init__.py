"""The parts of the benchmark: what `run` and `scale` are made of.

peers      what the folders under `peers/` say: how a server is installed, started and asked
venvs      one virtual environment per server
tree       all processes of one server: CPU time, memory, pinning, the end
server     one server from its start to its end
client     the load generator `load.c`: compiled once, run once per cell
compare    the cells of the comparison, interleaved with the control
report     the table; `chart` the picture; `machine` where it was measured
curves     our own scale curves; `worlds` the checkouts they are measured on; `scale_report` table and picture
svg        what both pictures are drawn with
"""
