"""Workers: they take jobs from the queue and do each in a process of its own, so that no origin can stop the others.

``child`` is that process, ``work`` runs it and makes an outcome of whatever it does, ``endings`` decides what becomes of
the job, ``pool`` is the loop over all of this, ``upkeep`` what is done beside jobs; ``service`` keeps a worker running for
a program that has other things to do.
"""
