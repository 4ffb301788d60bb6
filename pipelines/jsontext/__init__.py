"""JSON as text: what nobody changed keeps its bytes. Pure.

json_text   in and out without loss; `pieces` the same for large ones, in steps
slices      where the parts of a text lie
edits, reorder, graft, projection, columns  hits and documents read and changed in part

Imports nothing of ours but the errors.
"""
