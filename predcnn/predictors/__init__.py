"""Predictors: past frames -> future frames. Importing this package registers them."""

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
