"""Embedded data: pictures composed from cut-outs, with labels that are exact because they were there first.

`layout` decides what is where, `motion` what moves where; `composition` paints it; `sentences`, `questions` and
`motion_sentences` put it into words. Only painting needs pixels, so texts and answers of a whole data set are known in
seconds.
"""
