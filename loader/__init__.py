"""A folder on disk becomes a live model in memory.

Read in this order; each module imports only those above it:

    errors        what can go wrong, with the HTTP status that says so
    checkout      what is on disk: the link, the revision, model folders, shared code, fingerprints
    snapshots     an immutable private copy of one model folder; the last good one outlives the process
    callers       whose code is calling: the nearest version on the stack, else the owner of the thread
    siblings      where the modules of a model lie on disk
    facades       what `sys.modules` holds under a name that several versions carry
    turns         one thread runs a module while others wait, but never in a circle
    tracebacks    tracebacks that show the author's files, not how the server imports them
    side_effects  what a load changes in the process, and how it goes with the version
    statements    the import statement of one version's code
    namespace     the private import world of one model version
    imports       opens namespaces; puts the hooks into the process and takes them out
    signature     how a `transform_predict` signature receives `variables`; its JSON Schema
    lane          how many calls of one model run and wait
    model         one loaded version: construct, warm up, score, close
    registry      name -> live model and its status; atomic swap
    reloader      diff disk against memory; load new, then drop old
    watcher       watchdog observer plus a slow poll; both only call wake()
"""
