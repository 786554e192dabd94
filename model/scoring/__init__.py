"""What a passage costs in bits: the objective, the floor, passages scored by a network.

May import: network, system, text. Must not know: training.
"""
