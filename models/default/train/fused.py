"""The operations of plain.py in Triton kernels, for a GPU."""
from exchange import Bias, Outer
from multiplication import Multiplication
from pair_loss import CrossEntropy
from transition import Transition
from triangle import Attention

transition, multiplication, attention, bias, outer, cross_entropy = (
    f.apply for f in (Transition, Multiplication, Attention, Bias, Outer, CrossEntropy))
