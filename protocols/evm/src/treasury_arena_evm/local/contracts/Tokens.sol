// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// Tokens that depart from the standard in one way each, for tests of how they are refused or handled.
abstract contract Base {
    string public symbol;
    uint8 public immutable decimals;
    uint256 public totalSupply;
    mapping(address => uint256) internal held;
    mapping(address => mapping(address => uint256)) public allowance;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    constructor(string memory symbol_, uint8 decimals_) {
        symbol = symbol_;
        decimals = decimals_;
    }

    function mint(address to, uint256 amount) external {
        totalSupply += amount;
        held[to] += amount;
        emit Transfer(address(0), to, amount);
    }

    function balanceOf(address owner) public view virtual returns (uint256) {
        return held[owner];
    }

    function move(address from, address to, uint256 amount) internal virtual {
        require(held[from] >= amount, "too little");
        held[from] -= amount;
        held[to] += amount;
        emit Transfer(from, to, amount);
    }

    function spend(address from, uint256 amount) internal {
        require(allowance[from][msg.sender] >= amount, "not allowed");
        allowance[from][msg.sender] -= amount;
    }
}

abstract contract Returning is Base {
    function transfer(address to, uint256 amount) public virtual returns (bool) {
        move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        spend(from, amount);
        move(from, to, amount);
        return true;
    }

    function approve(address spender, uint256 amount) external virtual returns (bool) {
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
        return true;
    }
}

contract PlainToken is Returning {
    constructor(string memory s, uint8 d) Base(s, d) {}
}

/// Returns nothing anywhere, and wants an allowance of zero before another: as Tether's on Ethereum.
contract SilentToken is Base {
    constructor(string memory s, uint8 d) Base(s, d) {}

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        spend(from, amount);
        move(from, to, amount);
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "zero first");
        allowance[msg.sender][spender] = amount;
        emit Approval(msg.sender, spender, amount);
    }
}

/// Says false instead of refusing.
contract FalseToken is Returning {
    constructor(string memory s, uint8 d) Base(s, d) {}

    function transfer(address, uint256) public pure override returns (bool) {
        return false;
    }
}

/// One percent of every transfer vanishes.
contract FeeToken is Returning {
    constructor(string memory s, uint8 d) Base(s, d) {}

    function move(address from, address to, uint256 amount) internal override {
        uint256 fee = amount / 100;
        held[from] -= amount;
        held[to] += amount - fee;
        totalSupply -= fee;
        emit Transfer(from, to, amount - fee);
        emit Transfer(from, address(0), fee);
    }
}

/// Balances are shares times an index that anyone may set, and shares can be asked for.
contract SharesToken is Returning {
    uint256 public index = 1e18;

    constructor(string memory s, uint8 d) Base(s, d) {}

    function rebase(uint256 index_) external {
        index = index_;
    }

    function sharesOf(address owner) external view returns (uint256) {
        return held[owner];
    }

    function balanceOf(address owner) public view override returns (uint256) {
        return held[owner] * index / 1e18;
    }
}

/// Balances grow with time, and nothing tells of it.
contract GrowingToken is Returning {
    uint256 private immutable start = block.timestamp;

    constructor(string memory s, uint8 d) Base(s, d) {}

    function balanceOf(address owner) public view override returns (uint256) {
        return held[owner] + held[owner] * (block.timestamp - start) / 3_650 days;
    }
}

/// Anyone may pause it and block holders; whether it tells is chosen at the beginning.
contract GuardedToken is Returning {
    bool private immutable tells;
    bool private stopped;
    mapping(address => bool) private blocked;

    constructor(string memory s, uint8 d, bool tells_) Base(s, d) {
        tells = tells_;
    }

    function pause(bool stop) external {
        stopped = stop;
    }

    function blockAccount(address account, bool bad) external {
        blocked[account] = bad;
    }

    function paused() external view returns (bool) {
        require(tells);
        return stopped;
    }

    function isBlacklisted(address account) external view returns (bool) {
        require(tells);
        return blocked[account];
    }

    function move(address from, address to, uint256 amount) internal override {
        require(!stopped, "paused");
        require(!blocked[from] && !blocked[to], "blocked");
        super.move(from, to, amount);
    }
}

/// Sound when a holder transfers, and not when another takes it: `how` it goes wrong is chosen at the beginning.
contract PullToken is Returning {
    uint8 private immutable how;

    /// 0: one percent vanishes; 1: says false; 2: refuses; 3: the holder pays one percent more.
    constructor(string memory s, uint8 d, uint8 how_) Base(s, d) {
        how = how_;
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (how == 1) return false;
        require(how != 2, "pulling is off");
        spend(from, amount);
        uint256 fee = amount / 100;
        move(from, to, how == 0 ? amount - fee : amount);
        move(from, address(1), fee);
        return true;
    }
}
