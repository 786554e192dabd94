"""What a passage costs: the objective, the n-gram floor, passages judged by a network.

May import: network, system, text. Must not know: training.
"""
