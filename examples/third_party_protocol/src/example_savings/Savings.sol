// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// A savings account over one token. A deposit buys units of an index; the index grows every second by a rate.
/// Every division rounds against the saver: units bought down, units sold up, the index and balances down.
contract Savings {
    uint256 private constant RAY = 1e27;
    uint256 private constant YEAR = 365 days;

    IERC20 public immutable asset;
    address public immutable owner;
    uint256 public rate; // ray a year
    uint256 public stored = RAY; // the index at the last touch
    uint256 public touched;
    uint256 public total; // units of all savers
    mapping(address => uint256) public units;

    event Deposited(address indexed who, uint256 amount, uint256 units);
    event Withdrawn(address indexed who, uint256 amount, uint256 units);

    constructor(IERC20 asset_, uint256 rate_) {
        (asset, owner, rate, touched) = (asset_, msg.sender, rate_, block.timestamp);
    }

    /// Linear between two touches, so it compounds as often as somebody comes by.
    function index() public view returns (uint256) {
        return stored + stored * rate * (block.timestamp - touched) / (RAY * YEAR);
    }

    function balanceOf(address who) external view returns (uint256) {
        return units[who] * index() / RAY;
    }

    function setRate(uint256 rate_) external {
        require(msg.sender == owner, "not the owner");
        touch();
        rate = rate_;
    }

    function deposit(uint256 amount) external {
        touch();
        uint256 bought = amount * RAY / stored;
        require(bought > 0, "too little");
        units[msg.sender] += bought;
        total += bought;
        require(asset.transferFrom(msg.sender, address(this), amount), "not paid");
        emit Deposited(msg.sender, amount, bought);
    }

    /// The largest number means everything, which nobody else can name: it grows until the block is mined.
    function withdraw(uint256 amount) external {
        touch();
        if (amount == type(uint256).max) amount = units[msg.sender] * stored / RAY;
        uint256 sold = (amount * RAY + stored - 1) / stored;
        require(sold <= units[msg.sender], "more than is held");
        require(amount <= asset.balanceOf(address(this)), "no cash");
        units[msg.sender] -= sold;
        total -= sold;
        require(asset.transfer(msg.sender, amount), "not paid");
        emit Withdrawn(msg.sender, amount, sold);
    }

    function touch() private {
        (stored, touched) = (index(), block.timestamp);
    }
}
