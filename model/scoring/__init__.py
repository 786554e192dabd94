"""What a passage costs: the objective, the floor, passages judged by a network.

May import: network, system, text. Must not know: training.
"""
