"""A folder on disk becomes a live model in memory.

Read in this order; each module imports only those above it. First what both ways share:

    errors        what can go wrong, with the HTTP status that says so
    context       which model call the current thread is inside of

From the disk to a private copy:

    checkout      what is on disk: the link, the revision, model folders, shared code, what they look like
    snapshots     an immutable private copy of one model folder; the last good one outlives the process

The private import world of one version:

    callers       whose code is calling: the nearest version on the stack, else the owner of the thread
    siblings      where the modules of a model lie on disk
    facades       what `sys.modules` holds under a name that several versions carry
    turns         one thread runs a module while others wait, but never in a circle
    tracebacks    tracebacks that show the author's files, not how the server imports them
    side_effects  what a load changes in the process, and how it goes with the version
    statements    the import statement of one version's code
    hooks         functions that the process shares, wrapped so that they know whose code calls
    namespace     the modules of one version
    imports       opens namespaces; puts the hooks into the process and takes them out

How a class is called:

    annotations   what the annotations of a signature say, on every Python
    parameters    the parameters of a signature, and what is refused
    validation    posted variables become what an annotation asks for
    signature     how a `transform_predict` signature receives `variables`; its JSON Schema
    model_class   the class of `etls.py` that serves, and how it is constructed

From a copy to a version that serves:

    lane          how many calls of one model run and wait
    model         one loaded version: construct, rehearse, score, close
    registry      name -> live model and its status; atomic swap
    loads         one load after another, so that one that hangs delays the others by its patience
    publisher     load a version, publish it, fall back to the last good one, let an old one go

From a change on disk to all of that:

    settling      when a plain folder has been left alone for long enough
    retries       when content that failed is tried again
    shared_code   the snapshot of what lies beside the models
    updater       what has to be done for one model's content
    reloader      the thread that makes passes: what changed, what is new, what is gone
    advice        what an operator can do about a model that turns calls away
    watcher       watchdog observer plus a slow poll; both only wake the reloader
"""
