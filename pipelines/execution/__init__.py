"""Running: a payload through the stages of a pipeline.

executor    pipelines one after the other: outcome, failure policies, figures
run_stages  the one loop: of a pipeline, of a branch, of a pipeline in it, of a batch
observe     the one wrapper that times, counts and reports a stage, and tries it again
scope       what a stage may use and what it writes; forked for each, adopted or joined
plan        a pipeline as it runs, worked out when it is loaded
batch       many documents at once, one call a stage; `course` tells what became of each
breaker     turns a pipeline off whose runs keep passing their deadline

Imports `definitions`; knows no kind of stage and no sandbox.
"""
