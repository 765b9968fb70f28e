"""What `ops/chaos` runs: a workload and seeded faults on real processes, then a check of every payment.

The words are those of Jepsen: clients carry out a *workload* while a *nemesis* injects faults on a schedule; what
everybody saw is the *history*, and a *checker* looks in it for a broken promise.
"""
