"""Running: a payload through the stages of a pipeline.

executor    stages in order, deadline, failure policies, outcome
batch       the same for many documents, one call a stage
observe     the one wrapper that times, counts and logs a stage
breaker     turns a pipeline off whose runs keep passing their deadline

Imports `definitions` and `wasm`; knows no kind of stage.
"""
