"""Predictors: past frames -> future frames. Importing this room registers them all."""

from predcnn.predictors import (
    convlstm,
    copy_last,
    dmvfn,
    e3dlstm,
    mau,
    mean_frame,
    mim,
    mmvp,
    phydnet,
    predformer,
    prednet,
    predrnn,
    predrnnpp,
    predrnnv2,
    simvp,
    swinlstm,
    vmrnn,
    wast,
)
