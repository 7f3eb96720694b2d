from jetscale.plan import chains, pack, plan_runs, seconds


def test_packing_keeps_chains_together_and_balances(study):
    planned = plan_runs(study)
    trials = pack(planned, 2)
    assert len(trials) == 2
    packed = [run for trial in trials for run in trial.runs]
    assert sorted(c.key for c in packed) == sorted(c.key for c in planned)
    for trial in trials:
        done = set()
        for run in trial.runs:
            assert run.trunk is None or run.trunk in done
            done.add(run.key)
    loads = [sum(map(seconds, trial.runs)) for trial in trials]
    longest = max(sum(map(seconds, chain)) for chain in chains(planned))
    assert max(loads) - min(loads) <= longest
    assert len({trial.name for trial in trials}) == 2


def test_long_sweeps_get_several_waves_of_trials(study):
    planned = plan_runs(study)
    assert len(pack(planned, 2, longest=sum(map(seconds, planned)) / 6)) == 6
    assert len(pack(planned, 100)) == len(chains(planned))
    assert pack((), 4) == ()
