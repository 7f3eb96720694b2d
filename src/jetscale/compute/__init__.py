"""Everything that runs on Ray; no other room imports it.

`connect` starts or joins Ray, `tasks` is the executor on Ray, `streams` mixes jets with Ray Data,
`dataset` hands a stream to Ray Train code of others, and `trials` trains with Ray Tune and Train.
"""
