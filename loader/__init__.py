"""A folder on disk becomes a live model in memory.

Read in this order; each module imports only those above it:

    errors        what can go wrong, with the HTTP status that says so
    checkout      what is on disk: the link, the revision, model folders, shared code, fingerprints
    snapshots     an immutable private copy of one model folder; the last good one outlives the process
    namespace     the private import world of one model version
    side_effects  what a load changes in the process, and how it goes with the version
    signature     how a `transform_predict` signature receives `variables`; its JSON Schema
    lane          how many calls of one model run and wait
    model         one loaded version: construct, warm up, score, close
    registry      name -> live model and its status; atomic swap
    reloader      diff disk against memory; load new, then drop old
    watcher       watchdog observer plus a slow poll; both only call wake()
"""
