"""The network: encoders f, unified decoder g, and the class that joins them.

Shape letters of the whole project (never repeated elsewhere):

====  ==========================================================================================
B     images or texts in a batch
H, W  height and width in pixels (h, w: of a feature map)
L     tokens of a text, or of any token sequence
M     global tokens of an image: M' attention pools and the flattened last map, Eq. (3)
N     objects of all images of a batch, or texts of all its pictures
R     rows taken from a batch: captions, questions, beams, streams; a picture may have several
Q     object queries of the proposal network (the paper's N)
K     logits of a query: 1, objectness; more where a Mask DINO release is expressed
P     denoising queries, which precede the Q in training; in g the prompts, or the tokens kept from before
O     proposals kept for the unified decoder
D     width of the unified decoder g, where inputs and targets meet
C     width of the proposal network
Cm    width of its mask embeddings and mask features
Ct    width of the language model in f_text
Y     candidates: the size of the target set
E     experts of a Conditional MoE
T     frames of a video
V     views of a video: clips, and crops of them
S     tokens of all levels of a feature pyramid, concatenated
====  ==========================================================================================

Masks are booleans named for what True means: ``is_padding`` (nothing there), ``is_blocked`` (may not attend).
Boxes inside the model are (cx, cy, w, h) in [0, 1] relative to the unpadded image; outside it absolute
(x0, y0, x1, y1) in pixels.
"""
